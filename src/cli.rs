//! A file a command.
