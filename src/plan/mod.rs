//! What must change: desired and observed state into a DAG of steps with causes; pure.
