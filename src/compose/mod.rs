//! Compose files into a [`Project`](self): knows YAML and the Compose Specification, knows no engine.
