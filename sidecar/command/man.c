/*
 * What stands around the commands in walferry(1).
 */
#include "sidecar/command/man.h"

#include "lib/cli/man_page.h"

static const char head[] =
    ".Dd November 21, 2026\n"
    ".Dt WALFERRY 1\n"
    ".Os\n"
    ".Sh NAME\n"
    ".Nm walferry\n"
    ".Nd continuous replication of SQLite to object storage\n"
    ".Sh SYNOPSIS\n"
    ".Nm\n"
    ".Ar command\n"
    ".Op Ar flags\n"
    ".Op Ar arguments\n"
    ".Sh DESCRIPTION\n"
    ".Nm\n"
    "follows the write-ahead log of live SQLite databases, ships every commit to\n"
    "S3 or to a folder, and restores to the latest commit, to a TXID or to a moment.\n"
    "Flags come before arguments;\n"
    ".Fl name Ar value\n"
    "and\n"
    ".Fl name Ns = Ns Ar value\n"
    "are the same.\n"
    ".Sh COMMANDS\n";

static const char tail[] =
    ".Sh ENVIRONMENT\n"
    ".Bl -tag -width Ds\n"
    ".It Ev LITESTREAM_CONFIG\n"
    "Path of the configuration file.\n"
    ".It Ev LOG_LEVEL\n"
    "Overrides the configured log level.\n"
    ".It Ev AWS_ACCESS_KEY_ID , AWS_SECRET_ACCESS_KEY , AWS_SESSION_TOKEN\n"
    "Credentials for S3; so are\n"
    ".Ev LITESTREAM_ACCESS_KEY_ID\n"
    "and\n"
    ".Ev LITESTREAM_SECRET_ACCESS_KEY\n"
    "if these are not set.\n"
    ".It Ev AWS_REGION , AWS_PROFILE , AWS_WEB_IDENTITY_TOKEN_FILE , "
    "AWS_EC2_METADATA_DISABLED\n"
    "As in other tools for S3.\n"
    ".El\n"
    ".Sh FILES\n"
    ".Bl -tag -width Ds\n"
    ".It Pa /etc/litestream.yml\n"
    "Configuration.\n"
    ".It Pa .NAME-walferry/\n"
    "Beside each database: the page maps, what its destinations are known to have.\n"
    ".El\n"
    ".Sh EXIT STATUS\n"
    "0: done.\n"
    "1: failed, or something committed did not reach a destination.\n"
    "2: usage or configuration.\n"
    "3: nothing to restore.\n"
    "4: damaged data.\n"
    "5: fenced by another writer.\n"
    "With\n"
    ".Fl exec\n"
    "the status of the application if that is not 0.\n"
    ".Sh SEE ALSO\n"
    ".Xr sqlite3 1 ,\n"
    ".Xr walferry-config 5\n";

int man_page(struct buf *out, struct error *err)
{
    return cli_man_page(commands, head, tail, FLAG_STYLE_GO, out, err);
}
