//! Makes it so: walks a plan step by step and emits events; decides nothing.
