//! Ground: directed graphs, their cycles and walks; knows no domain.
