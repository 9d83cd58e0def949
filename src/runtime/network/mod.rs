//! Networks: bridges, endpoints, addresses, published ports and names.
