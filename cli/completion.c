/* berth completion bash: a completion script made from the tables of commands and options. */
#include "command.h"

#include <stdio.h>
#include <string.h>

static void print_command(const struct command *command)
{
	printf("    %s)\n      options=\"", command->name);
	for (unsigned i = 0; i < OPTION_COUNT; i++)
		if (command->options & (1U << i))
			printf("%s ", option_rows[i].name);
	printf("\"\n      operand=%s ;;\n", !command->operand ? "none" : !strcmp(command->operand, "SHELL") ? "shell" : "yaml");
}

int command_completion(const struct arguments *arguments)
{
	if (strcmp(arguments->operand, "bash") != 0) {
		fprintf(stderr, "berth: completion is made for bash, not for \"%s\"\n", arguments->operand);
		return EXIT_USAGE;
	}
	printf("# bash completion of berth; made by: berth completion bash\n"
	       "_berth() {\n"
	       "  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} options='' operand=none\n"
	       "  COMPREPLY=()\n"
	       "  if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
	       "    COMPREPLY=($(compgen -W '");
	for (size_t i = 0; i < command_count; i++)
		printf("%s ", commands[i].name);
	printf("--help --version' -- \"$word\"))\n    return\n  fi\n  case ${COMP_WORDS[1]} in\n");
	for (size_t i = 0; i < command_count; i++)
		print_command(&commands[i]);
	printf("  esac\n"
	       "  case $before in\n"
	       "    -o|--output|--image|--console) COMPREPLY=($(compgen -f -- \"$word\")); return ;;\n"
	       "    --file) return ;;\n"
	       "  esac\n"
	       "  case $word in\n"
	       "    -*) COMPREPLY=($(compgen -W \"$options\" -- \"$word\")); return ;;\n"
	       "  esac\n"
	       "  case $operand in\n"
	       "    yaml) COMPREPLY=($(compgen -f -X '!*.yaml' -- \"$word\") $(compgen -d -- \"$word\")) ;;\n"
	       "    shell) COMPREPLY=($(compgen -W 'bash' -- \"$word\")) ;;\n"
	       "  esac\n"
	       "}\n"
	       "complete -o filenames -F _berth berth\n");
	return EXIT_OK;
}
