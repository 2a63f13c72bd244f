/*
 * berth iso FILE.yaml -o HOST.iso: a disc image that starts the host on BIOS and UEFI machines. The image, the configuration, its secrets
 * and files are staged in a folder of their own beside the output, grub-mkrescue makes the ISO of it, and the folder goes again.
 *
 *   boot/berth.elf        the host's image without sections
 *   boot/grub/grub.cfg    starts it at once; a module a file, its name the module's command line
 *   boot/modules/N        the files, numbered: names need not suit ISO 9660
 */
#include "host_file.h"
#include "image_file.h"
#include "memory.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef BERTH_IMAGE_DEFAULT
#define BERTH_IMAGE_DEFAULT "build/image/berth.elf"
#endif
#define CONFIG_MODULE "config.json"
#define PLAIN "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-+/:@%," /* GRUB's shell leaves it as it is */

struct staging {
	char *folder;
	FILE *menu; /* grub.cfg */
	unsigned modules;
};

static int cannot(const char *verb, const char *path)
{
	fprintf(stderr, "berth: %s cannot be %s: %s\n", path, verb, strerror(errno));
	return EXIT_SYSTEM;
}

/* ---- the folder ---- */

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *where)
{
	return remove(path);
}

static int staging_begin(struct staging *s, const char *output, const char *append)
{
	static const char *const folders[] = {"boot", "boot/grub", "boot/modules"};
	*s = (struct staging){.folder = must_printf("%s.XXXXXX", output)};
	if (!mkdtemp(s->folder)) { /* mode 0700: secrets go there */
		int result = cannot("made", s->folder);
		free(s->folder);
		s->folder = NULL;
		return result;
	}
	for (unsigned i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
		char *path = must_printf("%s/%s", s->folder, folders[i]);
		int result = mkdir(path, 0700) ? cannot("made", path) : EXIT_OK;
		free(path);
		if (result)
			return result;
	}
	char *path = must_printf("%s/boot/grub/grub.cfg", s->folder);
	s->menu = fopen(path, "w");
	int result = s->menu ? EXIT_OK : cannot("written", path);
	free(path);
	if (s->menu)
		fputs("set timeout=0\n"
		      "if serial --unit=0 --speed=115200; then\n"
		      "  terminal_input console serial\n"
		      "  terminal_output console serial\n"
		      "fi\n"
		      "multiboot2 /boot/berth.elf",
			s->menu);
	if (s->menu)
		fprintf(s->menu, " %s\n", append);
	return result;
}

static void staging_end(struct staging *s)
{
	if (s->menu)
		fclose(s->menu);
	if (s->folder && nftw(s->folder, remove_one, 16, FTW_DEPTH | FTW_PHYS))
		fprintf(stderr, "berth: %s cannot be removed: %s; it may hold secrets\n", s->folder, strerror(errno));
	free(s->folder);
}

/* ---- what goes into it ---- */

/* Names that GRUB's shell hands over unchanged. */
static bool plain_name(const char *name)
{
	return name[0] && strspn(name, PLAIN) == strlen(name);
}

static int add_module(struct staging *s, const char *name, char **path)
{
	if (!plain_name(name)) {
		fprintf(stderr, "berth: boot module \"%s\": a name on an ISO may have letters, digits and ._-+/:@%%, only\n", name);
		return EXIT_INVALID;
	}
	*path = must_printf("%s/boot/modules/%u", s->folder, s->modules);
	fprintf(s->menu, "module2 /boot/modules/%u %s\n", s->modules++, name);
	return EXIT_OK;
}

static int copy(int from, int to)
{
	static char buffer[1 << 16];
	ssize_t n;
	while ((n = read(from, buffer, sizeof(buffer))) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		for (ssize_t done = 0, w; done < n; done += w)
			if ((w = write(to, buffer + done, (size_t)(n - done))) <= 0)
				return -1;
	}
	return 0;
}

static int copy_file(const char *from, const char *to)
{
	int in = open(from, O_RDONLY | O_CLOEXEC), out = -1, result = EXIT_OK;
	if (in < 0)
		return cannot("read", from);
	out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (out < 0)
		result = cannot("written", to);
	else if (copy(in, out))
		result = cannot("copied", from);
	if (out >= 0 && close(out) && result == EXIT_OK)
		result = cannot("written", to);
	close(in);
	return result;
}

static int stage_config(struct staging *s, const struct host_file *host)
{
	char *path = NULL;
	int result = add_module(s, CONFIG_MODULE, &path);
	FILE *file = result ? NULL : fopen(path, "wx");
	bool good = file && fwrite(host->json, 1, host->json_len, file) == host->json_len;
	if (file && fclose(file))
		good = false;
	if (!result && !good)
		result = cannot("written", path);
	free(path);
	return result;
}

static int stage_files(struct staging *s, const struct host_file *host)
{
	int result = EXIT_OK;
	for (unsigned i = 0; i < host->needed_count && result == EXIT_OK; i++) {
		char *path = NULL;
		if (!host->needed[i].path)
			continue;
		result = add_module(s, host->needed[i].name, &path);
		if (result == EXIT_OK)
			result = copy_file(host->needed[i].path, path);
		free(path);
	}
	return result;
}

static int stage(struct staging *s, const struct host_file *host, const char *image)
{
	char *path = must_printf("%s/boot/berth.elf", s->folder);
	int result = image_file_copy(image, path);
	free(path);
	if (result == EXIT_OK)
		result = stage_config(s, host);
	if (result == EXIT_OK)
		result = stage_files(s, host);
	fputs("boot\n", s->menu);
	bool bad = ferror(s->menu);
	if (fclose(s->menu))
		bad = true;
	s->menu = NULL;
	if (result == EXIT_OK && bad)
		result = cannot("written", "grub.cfg");
	return result;
}

/* ---- grub-mkrescue ---- */

static bool on_path(const char *program)
{
	char *path = must_strdup(getenv("PATH") ? getenv("PATH") : ""), *rest = path, *folder;
	bool found = false;
	while (!found && (folder = strsep(&rest, ":"))) {
		char *file = must_printf("%s/%s", folder[0] ? folder : ".", program);
		found = !access(file, X_OK);
		free(file);
	}
	free(path);
	return found;
}

static int find_tools(void)
{
	static const struct {
		const char *program, *package;
	} tools[] = {{"grub-mkrescue", "grub-common"}, {"xorriso", "xorriso"}, {"mformat", "mtools"}};
	static const struct {
		const char *folder, *package, *what;
	} platforms[] = {{"/usr/lib/grub/i386-pc", "grub-pc-bin", "BIOS"}, {"/usr/lib/grub/x86_64-efi", "grub-efi-amd64-bin", "UEFI"}};
	int result = EXIT_OK;
	for (unsigned i = 0; i < sizeof(tools) / sizeof(tools[0]); i++) {
		if (on_path(tools[i].program))
			continue;
		fprintf(stderr, "berth: %s is not installed\n  hint: apt install %s\n", tools[i].program, tools[i].package);
		result = EXIT_SYSTEM;
	}
	for (unsigned i = 0; i < sizeof(platforms) / sizeof(platforms[0]); i++) {
		if (!access(platforms[i].folder, R_OK))
			continue;
		fprintf(stderr, "berth: GRUB for %s machines is not installed\n  hint: apt install %s\n", platforms[i].what,
			platforms[i].package);
		result = EXIT_SYSTEM;
	}
	return result;
}

/* Quiet when all goes well; what it said when not. */
static int make_iso(const char *folder, const char *output)
{
	char text[4096];
	size_t len = 0;
	ssize_t n;
	int pipe_ends[2], status = 0;
	if (pipe2(pipe_ends, O_CLOEXEC))
		return cannot("started", "grub-mkrescue");
	pid_t child = fork();
	if (child < 0) {
		close(pipe_ends[0]);
		close(pipe_ends[1]);
		return cannot("started", "grub-mkrescue");
	}
	if (!child) {
		dup2(pipe_ends[1], STDOUT_FILENO);
		dup2(pipe_ends[1], STDERR_FILENO);
		execlp("grub-mkrescue", "grub-mkrescue", "-o", output, folder, (char *)NULL);
		_exit(127); /* find_tools has seen it */
	}
	close(pipe_ends[1]);
	while ((n = read(pipe_ends[0], text + len, sizeof(text) - len)) > 0 || (n < 0 && errno == EINTR)) {
		len += n > 0 ? (size_t)n : 0;
		if (len == sizeof(text)) { /* its last words count */
			memmove(text, text + sizeof(text) / 2, sizeof(text) / 2);
			len = sizeof(text) / 2;
		}
	}
	close(pipe_ends[0]);
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return EXIT_OK;
	fprintf(stderr, "berth: grub-mkrescue failed:\n%.*s\n", (int)len, text);
	return EXIT_SYSTEM;
}

/* Beside the target, then renamed: a failure leaves the old one. Readable by its owner only when secrets are in it. */
static int make_and_rename(const struct staging *s, const char *output, bool secret)
{
	char *temporary = must_printf("%s/host.iso", s->folder), *tree = must_printf("%s/tree", s->folder);
	char *boot = must_printf("%s/boot", s->folder), *inside = must_printf("%s/tree/boot", s->folder);
	int result = mkdir(tree, 0700) || rename(boot, inside) ? cannot("made", tree) : make_iso(tree, temporary);
	if (result == EXIT_OK && secret && chmod(temporary, 0600))
		result = cannot("protected", temporary);
	if (result == EXIT_OK && rename(temporary, output))
		result = cannot("written", output);
	free(temporary);
	free(tree);
	free(boot);
	free(inside);
	return result;
}

int command_iso(const struct arguments *arguments)
{
	struct host_file host;
	struct staging s = {.folder = NULL};
	const char *output = arguments->values[OPTION_ISO], *image = arguments->values[OPTION_IMAGE];
	const char *append = arguments->values[OPTION_APPEND] ? arguments->values[OPTION_APPEND] : "";
	if (!output) {
		fprintf(stderr, "berth: iso needs -o HOST.iso\nTry: berth iso --help\n");
		return EXIT_USAGE;
	}
	if (strspn(append, PLAIN "= ") != strlen(append)) {
		fprintf(stderr, "berth: --append \"%s\": words of letters, digits and ._-+/:@%%,= only\n", append);
		return EXIT_USAGE;
	}
	struct arguments all = *arguments;
	all.values[OPTION_ALL_FILES] = ""; /* what is not on the disc is nowhere */
	int result = host_file_load(&host, &all, true);
	problems_print(&host.problems);
	if (result == EXIT_OK)
		result = find_tools();
	if (result == EXIT_OK)
		result = staging_begin(&s, output, append);
	if (result == EXIT_OK)
		result = stage(&s, &host, image ? image : BERTH_IMAGE_DEFAULT);
	if (result == EXIT_OK)
		result = make_and_rename(&s, output, host.yaml.secret_count > 0);
	staging_end(&s);
	host_file_free(&host);
	return result;
}
