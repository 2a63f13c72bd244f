/*
 * `berth`, the administrator's tool. This file: the tables of commands and options, help, and parsing of the command line.
 *
 * Exit status: 0 done; 1 the configuration has errors; 2 the command line has; 3 a file could not be read or written.
 */
#include "command.h"

#include <config/suggest.h>
#include <stdio.h>
#include <string.h>

const struct option_row option_rows[OPTION_COUNT] = {
	[OPTION_HELP] = {"--help", "-h", NULL, "Show this help."},
	[OPTION_JSON] = {"--json", NULL, NULL, "Print the result as JSON on standard output, for programs."},
	[OPTION_STRICT] = {"--strict", NULL, NULL, "Take warnings for errors."},
	[OPTION_OUTPUT] = {"--output", "-o", "OUT.json", "Write the host's JSON there; without it, to standard output."},
	[OPTION_ISO] = {"--output", "-o", "HOST.iso", "Write the disc image there."},
	[OPTION_IMAGE] = {"--image", NULL, "BERTH.elf", "The host's image; without it, build/image/berth.elf."},
	[OPTION_APPEND] = {"--append", NULL, "TEXT", "The host's command line, e.g. without=apicv (docs/user-guide.md)."},
	[OPTION_FILE] = {"--file", NULL, "NAME=PATH",
		"The file PATH will be boot module NAME (a secret, a kernel ...). May be given often."},
	[OPTION_LIST_FILES] = {"--list-files", NULL, NULL,
		"Print the files that the host needs as boot modules, a line NAME=PATH each: secrets, and what --file gives."},
	[OPTION_ALL_FILES] = {"--all-files", NULL, NULL,
		"Insist that every boot module the configuration names is known, by --file or as a secret."},
	[OPTION_PCAPNG] = {"--output", "-o", "OUT.pcapng", "Write the frames there."},
	[OPTION_FRAME] = {"--frame", NULL, "HEX", "The frame's bytes."},
	[OPTION_PCAP] = {"--pcap", NULL, "FILE[:N]", "The N-th frame (the first) of a pcap or pcapng file."},
	[OPTION_DESCRIBE] = {"--describe", NULL, "TEXT",
		"The frame in words: src=MAC dst=MAC vlan=N type=0xHEX ip=A>B proto=tcp|udp|icmp|N sport=N dport=N len=N."},
	[OPTION_MARKDOWN] = {"--markdown", NULL, NULL, "Print the reference of keys for the user guide instead."},
	[OPTION_CONSOLE] = {"--console", NULL, "PATH", "The host's control console: a serial port (115200 baud) or a UNIX socket."},
	[OPTION_DRY_RUN] = {"--dry-run", NULL, NULL,
		"Have the host check the configuration and say what would change, and change nothing."},
	[OPTION_WAIT] = {"--wait", NULL, "SECONDS",
		"Send a line again when the host has not answered it for so long (3); more for a slow line."},
	[OPTION_VERSION] = {"--version", NULL, NULL, "Show the version."},
};

#define OPTION(id) (1U << OPTION_##id)

const struct command commands[] = {
	{.name = "check",
		.operand = "FILE.yaml",
		.summary = "Check a host's configuration",
		.details = "Reads FILE.yaml and reports everything that is wrong with it, each with file:line:column and a hint. Nothing "
			   "is written.\n"
			   "Secret files that are not there are warnings.",
		.examples = "  berth check host.yaml\n"
			    "  berth check --strict host.yaml        # in CI: warnings fail too\n"
			    "  berth check --json host.yaml | jq '.problems[].message'\n",
		.options = OPTION(HELP) | OPTION(JSON) | OPTION(STRICT) | OPTION(FILE) | OPTION(ALL_FILES),
		.run = command_check},
	{.name = "compile",
		.operand = "FILE.yaml",
		.summary = "Check a configuration and make the JSON that a host boots with",
		.details =
			"Checks as `berth check` does and writes the configuration as JSON. Secrets are not in it: it names boot modules,\n"
			"which --list-files lists with the files they come from. On an error nothing is written.",
		.examples = "  berth compile host.yaml -o host.json\n"
			    "  berth compile host.yaml -o host.json --list-files\n"
			    "  berth compile host.yaml -o host.json --file vmlinuz=/boot/vmlinuz --all-files\n",
		.options = OPTION(HELP) | OPTION(JSON) | OPTION(STRICT) | OPTION(OUTPUT) | OPTION(FILE) | OPTION(LIST_FILES) |
			   OPTION(ALL_FILES),
		.run = command_compile},
	{.name = "iso",
		.operand = "FILE.yaml",
		.summary = "Make a disc image that boots a host on BIOS and UEFI machines",
		.details = "Checks and compiles as `berth compile` does and puts the host's image, the configuration, its secrets and the "
			   "files\n"
			   "given by --file on a GRUB disc image (hybrid: also for USB sticks). Needs grub-mkrescue, xorriso and mtools.\n"
			   "With secrets in it the disc image is readable by its owner only.",
		.examples = "  berth iso host.yaml -o host.iso --file vmlinuz=/boot/vmlinuz --file initrd=/boot/initrd.img\n"
			    "  qemu-system-x86_64 -cpu max -M q35 -m 2048 -serial stdio -cdrom host.iso\n",
		.options = OPTION(HELP) | OPTION(STRICT) | OPTION(ISO) | OPTION(IMAGE) | OPTION(APPEND) | OPTION(FILE),
		.run = command_iso},
	{.name = "diff",
		.operand = "OLD.yaml",
		.second = "NEW.yaml",
		.summary = "Say what would change if a host that runs by OLD.yaml got NEW.yaml",
		.details =
			"Checks both and prints each difference in plain words with its line, the VMs it touches, and whether it can be\n"
			"made while the host runs (`berth apply`), only while the VM is powered off, or only by a restart of the host.",
		.examples = "  berth diff host.yaml new.yaml\n"
			    "  berth diff --json host.yaml new.yaml | jq -r '.changes[] | select(.live != \"yes\") | .text'\n",
		.options = OPTION(HELP) | OPTION(JSON) | OPTION(STRICT) | OPTION(FILE),
		.run = command_diff},
	{.name = "apply",
		.operand = "NEW.yaml",
		.summary = "Make a running host run by another configuration",
		.details = "Checks NEW.yaml, sends it with its secrets to the host over the host's control console (its second serial "
			   "port) and\n"
			   "has the host apply it as a difference: what is not touched goes on without losing a packet. What the host "
			   "cannot do\n"
			   "while it runs it refuses, says why, and goes on as before. Other boot modules (kernels) are not sent.",
		.examples = "  berth diff host.yaml new.yaml\n"
			    "  berth apply --console /dev/ttyUSB0 --dry-run new.yaml\n"
			    "  berth apply --console /dev/ttyUSB0 new.yaml\n"
			    "  lab/berth-lab run host.yaml --console-socket /tmp/hv1 & berth apply --console /tmp/hv1 new.yaml\n",
		.options = OPTION(HELP) | OPTION(JSON) | OPTION(STRICT) | OPTION(CONSOLE) | OPTION(DRY_RUN) | OPTION(WAIT) | OPTION(FILE),
		.run = command_apply},
	{.name = "capture",
		.operand = "SESSION",
		.summary = "Fetch the frames that a mirror session of a running host has captured",
		.details = "Writes a pcapng file that tcpdump, tshark and Wireshark read; each port of the switch is an interface in it. "
			   "The host\n"
			   "keeps the frames until newer ones overwrite them: the command can be repeated.",
		.examples = "  berth capture --console /dev/ttyUSB0 span1 -o span1.pcapng\n"
			    "  tshark -r span1.pcapng -T fields -e frame.interface_name -e ip.src -e ip.dst\n",
		.options = OPTION(HELP) | OPTION(CONSOLE) | OPTION(WAIT) | OPTION(PCAPNG),
		.run = command_capture},
	{.name = "trace",
		.operand = "PORT",
		.summary = "Ask a running host what would become of a frame from a port",
		.details =
			"The frame goes through the live tables of the host's switch without being sent or changing anything. Each step is "
			"printed\n"
			"with the line of the configuration that decided it. PORT is a VM's NIC (web1.nic0), a VMkernel NIC or an uplink.",
		.examples = "  berth trace --console /dev/ttyUSB0 web1.nic0 --describe 'src=52:54:00:aa:00:01 dst=52:54:00:aa:00:02'\n"
			    "  berth trace --console /dev/ttyUSB0 uplink0 --describe 'dst=52:54:00:aa:00:01 vlan=20 ip=10.0.0.9>10.0.0.1 "
			    "proto=tcp dport=80'\n"
			    "  berth trace --console /dev/ttyUSB0 web1.nic0 --pcap span1.pcapng:17\n",
		.options = OPTION(HELP) | OPTION(JSON) | OPTION(CONSOLE) | OPTION(WAIT) | OPTION(FRAME) | OPTION(PCAP) | OPTION(DESCRIBE),
		.run = command_trace},
	{.name = "schema",
		.summary = "Print the JSON Schema of the configuration, for editors",
		.details = "JSON Schema draft 2020-12. Editors with a YAML language server complete and check keys by it; begin the file "
			   "with\n"
			   "  # yaml-language-server: $schema=berth-schema.json",
		.examples = "  berth schema > berth-schema.json\n",
		.options = OPTION(HELP) | OPTION(MARKDOWN),
		.run = command_schema},
	{.name = "completion",
		.operand = "SHELL",
		.summary = "Print a completion script for a shell (bash)",
		.details = "Prints the script on standard output.",
		.examples = "  berth completion bash > /etc/bash_completion.d/berth\n"
			    "  . <(berth completion bash)            # this shell only\n",
		.options = OPTION(HELP),
		.run = command_completion},
};
const size_t command_count = sizeof(commands) / sizeof(commands[0]);

/* ---- help ---- */

static void print_options(unsigned options)
{
	printf("Options:\n");
	for (unsigned i = 0; i < OPTION_COUNT; i++) {
		const struct option_row *row = &option_rows[i];
		char left[48];
		if (!(options & (1U << i)))
			continue;
		snprintf(left, sizeof(left), "%s%s%s%s%s", row->letter ? row->letter : "", row->letter ? ", " : "", row->name,
			row->value ? " " : "", row->value ? row->value : "");
		printf("  %-24s %s\n", left, row->doc);
	}
}

static void print_help(void)
{
	printf("berth: checks and prepares configurations of Berth hosts\n\nUsage: berth COMMAND [OPTIONS] [FILE]\n\nCommands:\n");
	for (size_t i = 0; i < command_count; i++)
		printf("  %-12s %s\n", commands[i].name, commands[i].summary);
	print_options(OPTION(HELP) | OPTION(VERSION));
	printf("\nExamples:\n  berth check config/examples/first-light.yaml\n  berth COMMAND --help\n\n"
	       "Exit status: 0 done; 1 the configuration has errors; 2 wrong usage; 3 a file could not be read or written.\n");
}

static void print_command_help(const struct command *command)
{
	printf("berth %s: %s\n\nUsage: berth %s [OPTIONS]%s%s%s%s\n\n%s\n\n", command->name, command->summary, command->name,
		command->operand ? " " : "", command->operand ? command->operand : "", command->second ? " " : "",
		command->second ? command->second : "", command->details);
	print_options(command->options);
	printf("\nExamples:\n%s", command->examples);
}

/* ---- the command line ---- */

static int usage_error(const struct command *command, const char *what, const char *word, const char *did_you_mean)
{
	fprintf(stderr, "berth: %s%s%s%s", what, word ? " \"" : "", word ? word : "", word ? "\"" : "");
	if (did_you_mean)
		fprintf(stderr, "; did you mean \"%s\"?", did_you_mean);
	fprintf(stderr, "\nTry: berth %s%s--help\n", command ? command->name : "", command ? " " : "");
	return EXIT_USAGE;
}

static int unknown_option(const struct command *command, const char *word)
{
	struct config_suggest suggest;
	config_suggest_begin(&suggest, word);
	for (unsigned i = 0; i < OPTION_COUNT; i++)
		if (command->options & (1U << i))
			config_suggest_offer(&suggest, option_rows[i].name);
	return usage_error(command, "unknown option", word, suggest.best);
}

/* Does word (len bytes of it) spell the option? */
static bool spells(const struct option_row *row, const char *word, size_t len)
{
	return (strlen(row->name) == len && !strncmp(row->name, word, len)) || (row->letter && len == 2 && !strncmp(row->letter, word, 2));
}

static int parse_option(const struct command *command, struct arguments *arguments, char **argv, int argc, int *at)
{
	char *word = argv[*at], *equals = strchr(word, '=');
	size_t len = equals ? (size_t)(equals - word) : strlen(word);
	unsigned id = 0;
	while (id < OPTION_COUNT && !((command->options & (1U << id)) && spells(&option_rows[id], word, len)))
		id++;
	if (equals)
		*equals = 0; /* a message shows the option without its value */
	if (id == OPTION_COUNT)
		return unknown_option(command, word);
	if (!option_rows[id].value) {
		arguments->values[id] = "";
		return equals ? usage_error(command, "no value belongs to", word, NULL) : EXIT_OK;
	}
	if (!equals && *at + 1 >= argc)
		return usage_error(command, "a value is missing after", word, NULL);
	arguments->values[id] = equals ? equals + 1 : argv[++*at];
	if (id != OPTION_FILE)
		return EXIT_OK;
	if (arguments->file_count == MAX_GIVEN_FILES)
		return usage_error(command, "too many times", word, NULL);
	const char *name = arguments->values[id], *path = strchr(name, '=');
	if (!path || path == name || !path[1])
		return usage_error(command, "--file takes NAME=PATH, not", name, NULL);
	arguments->files[arguments->file_count++] = name;
	return EXIT_OK;
}

static int run_command(const struct command *command, int argc, char **argv)
{
	struct arguments arguments = {.operand = NULL};
	bool only_operands = false;
	for (int i = 2; i < argc; i++) {
		if (!only_operands && !strcmp(argv[i], "--")) {
			only_operands = true;
		} else if (!only_operands && argv[i][0] == '-' && argv[i][1]) {
			int error = parse_option(command, &arguments, argv, argc, &i);
			if (error)
				return error;
		} else if (command->operand && !arguments.operand) {
			arguments.operand = argv[i];
		} else if (command->second && !arguments.second) {
			arguments.second = argv[i];
		} else {
			return usage_error(command, "unexpected argument", argv[i], NULL);
		}
	}
	if (arguments.values[OPTION_HELP]) {
		print_command_help(command);
		return EXIT_OK;
	}
	if ((command->operand && !arguments.operand) || (command->second && !arguments.second)) {
		fprintf(stderr, "berth: %s needs %s\nTry: berth %s --help\n", command->name,
			!arguments.operand ? command->operand : command->second, command->name);
		return EXIT_USAGE;
	}
	return command->run(&arguments);
}

int main(int argc, char **argv)
{
	const char *word = argc > 1 ? argv[1] : NULL;
	int result;
	if (!word) {
		result = usage_error(NULL, "a command is missing", NULL, NULL);
	} else if (!strcmp(word, "--help") || !strcmp(word, "-h") || !strcmp(word, "help")) {
		print_help();
		result = EXIT_OK;
	} else if (!strcmp(word, "--version")) {
		printf("berth %s\n", BERTH_VERSION);
		result = EXIT_OK;
	} else {
		struct config_suggest suggest;
		const struct command *command = NULL;
		config_suggest_begin(&suggest, word);
		for (size_t i = 0; i < command_count; i++) {
			config_suggest_offer(&suggest, commands[i].name);
			if (!strcmp(commands[i].name, word))
				command = &commands[i];
		}
		result = command ? run_command(command, argc, argv) : usage_error(NULL, "unknown command", word, suggest.best);
	}
	if (fflush(stdout) || ferror(stdout)) {
		perror("berth: standard output");
		return EXIT_SYSTEM;
	}
	return result;
}
