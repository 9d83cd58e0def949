//! What people and programs see: events and tables into bytes; the only room that knows colours.
