/* SPDX-License-Identifier: Apache-2.0 */
/* The --help texts, out of the table of commands. */
#include "command.h"

#include <string.h>

static const struct {
	enum fl_tools_exit code;
	const char *meaning;
} exits[] = {
	{FL_TOOLS_DONE, "done; of a watched job: committed"},
	{FL_TOOLS_FAILED, "failed, or refused"},
	{FL_TOOLS_NOTHING, "nothing to do, or what was named does not exist"},
	{FL_TOOLS_USAGE, "the command line is wrong"},
	{FL_TOOLS_UNREACHABLE, "no answer from the fleet, or it is not who it should be"},
};

static void print_exits(FILE *out)
{
	(void)fputs("\nExit codes:\n", out);
	for (size_t i = 0; i < sizeof(exits) / sizeof(exits[0]); i++)
		(void)fprintf(out, "  %d  %s\n", (int)exits[i].code, exits[i].meaning);
}

static void print_row(FILE *out, const struct fl_tools_command *c)
{
	char head[128];
	(void)snprintf(head, sizeof(head), "%s %s", c->path, c->args);
	(void)fprintf(out, "  %-34s %s\n", head, c->summary);
}

void fl_tools_help(FILE *out)
{
	(void)fputs("Usage: fairlead COMMAND [OPTION]... [ARGUMENT]...\n"
		    "Keys, releases and deployments of Fairlead.\n\nCommands:\n",
		    out);
	for (size_t i = 0; i < fl_tools_n_commands; i++)
		print_row(out, &fl_tools_commands[i]);
	(void)fputs(
		"\n'fairlead COMMAND --help' tells the options of a command. Options stand behind "
		"the command.\n",
		out);
	print_exits(out);
}

static bool in_group(const struct fl_tools_command *c, const char *group)
{
	size_t len = strlen(group);
	return strncmp(c->path, group, len) == 0 && c->path[len] == ' ';
}

bool fl_tools_help_group(FILE *out, const char *group)
{
	bool found = false;
	for (size_t i = 0; i < fl_tools_n_commands; i++) {
		if (!in_group(&fl_tools_commands[i], group))
			continue;
		if (!found)
			(void)fprintf(out, "Usage: fairlead %s COMMAND [OPTION]...\n\nCommands:\n",
				      group);
		found = true;
		print_row(out, &fl_tools_commands[i]);
	}
	if (found)
		print_exits(out);
	return found;
}

static void print_option(FILE *out, const struct fl_tools_option *o)
{
	char head[64];
	char letter[8] = "    ";
	if (o->letter != 0)
		(void)snprintf(letter, sizeof(letter), "-%c, ", o->letter);
	(void)snprintf(head, sizeof(head), "  %s--%s%s%s", letter, o->name,
		       o->arg == NULL ? "" : " ", o->arg == NULL ? "" : o->arg);
	(void)fprintf(out, "%-36s %s%s\n", head, o->help, o->needed ? " (needed)" : "");
}

void fl_tools_help_command(FILE *out, const struct fl_tools_command *command)
{
	(void)fprintf(out, "Usage: fairlead %s [OPTION]...%s%s\n%s.\n\nOptions:\n", command->path,
		      command->args[0] == '\0' ? "" : " ", command->args, command->summary);
	const struct fl_tools_option *o;
	for (size_t i = 0; (o = fl_tools_option_at(command, i)) != NULL; i++)
		print_option(out, o);
	print_exits(out);
}
