//! The command line: one table of arguments, one file per command.
