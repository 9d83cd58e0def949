//! What is there: plain data that every engine reports back.
