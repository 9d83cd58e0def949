//! The ranges from which networks without a subnet of their own get one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use sha2::{Digest as _, Sha256};

use crate::runtime::network::NetworkError;
use crate::value::Cidr;

/// A range that is cut into subnets of one size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolRange {
    /// The whole range.
    pub base: Cidr,
    /// The prefix length of each subnet.
    pub subnet_prefix_len: u8,
}

/// The ranges in the order in which they are used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    ranges: Vec<PoolRange>,
}

impl Pool {
    /// Uses these ranges.
    pub fn new(ranges: Vec<PoolRange>) -> Self {
        Self { ranges }
    }

    /// Uses the ranges that people know from Docker, and a third for machines with many networks.
    pub fn standard() -> Self {
        let range = |a, b, prefix_len, subnet_prefix_len| {
            let base = Cidr::new(IpAddr::V4(Ipv4Addr::new(a, b, 0, 0)), prefix_len)?;
            Some(PoolRange {
                base,
                subnet_prefix_len,
            })
        };
        let docker = (17..=31).map(|second| range(172, second, 16, 16));
        let more = [range(192, 168, 16, 20), range(10, 201, 16, 24)];
        Self::new(docker.chain(more).flatten().collect())
    }

    /// Returns the first subnet that overlaps none of `taken`.
    pub fn choose(&self, taken: &[Cidr]) -> Result<Cidr, NetworkError> {
        self.ranges
            .iter()
            .find_map(|range| range.first_free(taken))
            .ok_or(NetworkError::NoFreeSubnet { taken: taken.len() })
    }
}

impl PoolRange {
    fn first_free(&self, taken: &[Cidr]) -> Option<Cidr> {
        let base = self.base.network();
        let last = base.host_mask();
        let mut offset = 0;
        // A subnet that is taken is stepped over whole, so that a large one costs one step.
        while offset <= last {
            let candidate = Cidr::new(base.with_offset(offset), self.subnet_prefix_len)?;
            let Some(conflict) = taken.iter().find(|other| other.overlaps(&candidate)) else {
                return Some(candidate);
            };
            let conflict_end = base.offset_of(conflict.last()).unwrap_or(last);
            let end = conflict_end.max(offset + candidate.host_mask());
            let step = candidate.host_mask().checked_add(1)?;
            offset = end.checked_add(1)?.checked_next_multiple_of(step)?;
        }
        None
    }
}

/// Returns the unique local IPv6 subnet (RFC 4193) that belongs to `key`, the `attempt`th one.
pub fn unique_local_subnet(key: &str, attempt: u16) -> Option<Cidr> {
    let hash = Sha256::digest(key.as_bytes());
    let mut octets = [0_u8; 16];
    octets[0] = 0xfd;
    octets[1..6].copy_from_slice(hash.get(..5)?);
    octets[6..8].copy_from_slice(&attempt.to_be_bytes());
    Cidr::new(IpAddr::V6(Ipv6Addr::from(octets)), 64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::*;

    fn cidr(text: &str) -> Cidr {
        text.parse().unwrap()
    }

    #[test]
    fn a_route_of_the_host_is_avoided() {
        let pool = Pool::standard();
        assert_eq!(pool.choose(&[]).unwrap(), cidr("172.17.0.0/16"));
        let vpn = [cidr("172.16.0.0/12"), cidr("0.0.0.0/32")];
        assert_eq!(pool.choose(&vpn).unwrap(), cidr("192.168.0.0/20"));
        let home = [cidr("172.16.0.0/12"), cidr("192.168.1.0/24")];
        assert_eq!(pool.choose(&home).unwrap(), cidr("192.168.16.0/20"));
    }

    #[test]
    fn an_exhausted_pool_says_so() {
        let range = PoolRange {
            base: cidr("10.0.0.0/24"),
            subnet_prefix_len: 25,
        };
        let pool = Pool::new(vec![range]);
        let first = pool.choose(&[]).unwrap();
        let second = pool.choose(&[first]).unwrap();
        assert_eq!(second, cidr("10.0.0.128/25"));
        let error = pool.choose(&[first, second]).unwrap_err();
        assert!(matches!(error, NetworkError::NoFreeSubnet { taken: 2 }));
    }

    #[test]
    fn each_key_has_a_local_subnet_of_its_own() {
        let one = unique_local_subnet("demo_default", 0).unwrap();
        assert_eq!(one, unique_local_subnet("demo_default", 0).unwrap());
        assert_ne!(one, unique_local_subnet("demo_back", 0).unwrap());
        assert!(one.to_string().starts_with("fd"));
    }

    proptest! {
        #[test]
        fn a_chosen_subnet_overlaps_nothing_taken(
            parts in proptest::collection::vec((any::<Ipv4Addr>(), 4..=32_u8), 0..40)
        ) {
            let taken: Vec<Cidr> = parts
                .into_iter()
                .map(|(ip, len)| Cidr::new(IpAddr::V4(ip), len).unwrap())
                .collect();
            if let Ok(chosen) = Pool::standard().choose(&taken) {
                assert!(taken.iter().all(|other| !other.overlaps(&chosen)));
                assert_eq!(chosen, chosen.network());
            }
        }
    }
}
