//! The unix socket on which the command line asks a running agent.
