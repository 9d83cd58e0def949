//! One small process per container that outlives the command.
