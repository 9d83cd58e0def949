//! One subnet of a network: who has which of its addresses.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::runtime::network::NetworkError;
use crate::value::Cidr;

/// A subnet, its gateway, and what of it endpoints may get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subnet {
    cidr: Cidr,
    gateway: IpAddr,
    range: Cidr,
    reserved: BTreeSet<IpAddr>,
}

impl Subnet {
    /// Gives out all of `subnet`; its first address is the gateway.
    pub fn new(subnet: Cidr) -> Result<Self, NetworkError> {
        let subnet = subnet.network();
        // Smaller ones have no room for a gateway and one endpoint.
        let hosts = if subnet.is_ipv4() { 3 } else { 1 };
        if subnet.host_mask() < hosts {
            return Err(NetworkError::SubnetTooSmall { subnet });
        }
        let gateway = subnet.with_offset(1);
        Ok(Self {
            cidr: subnet,
            gateway,
            range: subnet,
            reserved: BTreeSet::new(),
        })
    }

    /// Uses another gateway address.
    pub fn with_gateway(mut self, gateway: IpAddr) -> Result<Self, NetworkError> {
        self.gateway = self.check("gateway", gateway)?;
        Ok(self)
    }

    /// Gives out only addresses of `range`, except where one is asked for by its number.
    pub fn with_range(mut self, range: Cidr) -> Result<Self, NetworkError> {
        let range = range.network();
        if range.prefix_len() < self.cidr.prefix_len() || !self.cidr.overlaps(&range) {
            return Err(NetworkError::RangeOutside {
                range,
                subnet: self.cidr,
            });
        }
        self.range = range;
        Ok(self)
    }

    /// Never gives out these addresses.
    pub fn with_reserved(
        mut self,
        reserved: impl IntoIterator<Item = IpAddr>,
    ) -> Result<Self, NetworkError> {
        for address in reserved {
            let address = self.check("auxiliary address", address)?;
            self.reserved.insert(address);
        }
        Ok(self)
    }

    /// Returns the subnet.
    pub fn cidr(&self) -> Cidr {
        self.cidr
    }

    /// Returns the gateway's address with the subnet's prefix length, as its interface has it.
    pub fn gateway(&self) -> Cidr {
        self.on_interface(self.gateway)
    }

    /// Returns an address with the subnet's prefix length, as an interface has it.
    pub fn on_interface(&self, address: IpAddr) -> Cidr {
        Cidr::new(address, self.cidr.prefix_len()).unwrap_or(self.cidr)
    }

    /// Returns the lowest address that nobody has.
    pub fn allocate(&self, leased: &BTreeSet<IpAddr>) -> Result<IpAddr, NetworkError> {
        let last = self.range.host_mask();
        let mut offset = 0;
        loop {
            let address = self.range.with_offset(offset);
            if self.is_free(address, leased) {
                return Ok(address);
            }
            if offset == last {
                return Err(NetworkError::SubnetFull { subnet: self.range });
            }
            offset += 1;
        }
    }

    /// Checks that an endpoint may have exactly this address.
    pub fn claim(
        &self,
        address: IpAddr,
        leased: &BTreeSet<IpAddr>,
    ) -> Result<IpAddr, NetworkError> {
        let address = self.check("address", address)?;
        if self.is_free(address, leased) {
            Ok(address)
        } else {
            Err(NetworkError::AddressTaken {
                address,
                subnet: self.cidr,
            })
        }
    }

    fn is_free(&self, address: IpAddr, leased: &BTreeSet<IpAddr>) -> bool {
        address != self.gateway
            && self.is_host(address)
            && !self.reserved.contains(&address)
            && !leased.contains(&address)
    }

    /// The lowest address is the network's own (and in IPv6 every router's); IPv4's last broadcasts.
    fn is_host(&self, address: IpAddr) -> bool {
        let broadcast = self.cidr.is_ipv4() && address == self.cidr.last();
        address != self.cidr.address() && !broadcast
    }

    fn check(&self, role: &'static str, address: IpAddr) -> Result<IpAddr, NetworkError> {
        if self.cidr.contains(address) && self.is_host(address) {
            Ok(address)
        } else {
            Err(NetworkError::AddressOutside {
                role,
                address,
                subnet: self.cidr,
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::*;

    fn subnet(text: &str) -> Subnet {
        Subnet::new(text.parse().unwrap()).unwrap()
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_first_endpoint_comes_after_the_gateway() {
        let subnet = subnet("172.18.0.0/16");
        assert_eq!(subnet.gateway().to_string(), "172.18.0.1/16");
        assert_eq!(subnet.allocate(&BTreeSet::new()).unwrap(), ip("172.18.0.2"));
    }

    #[test]
    fn an_address_asked_for_by_number_may_lie_outside_the_range() {
        let subnet = subnet("10.0.0.0/24")
            .with_range("10.0.0.128/25".parse().unwrap())
            .unwrap();
        let free = BTreeSet::new();
        assert_eq!(subnet.allocate(&free).unwrap(), ip("10.0.0.128"));
        assert_eq!(subnet.claim(ip("10.0.0.9"), &free).unwrap(), ip("10.0.0.9"));
        for bad in ["10.0.0.0", "10.0.0.255", "10.0.1.1", "::1"] {
            let refused = subnet.claim(ip(bad), &free);
            assert!(
                matches!(refused, Err(NetworkError::AddressOutside { .. })),
                "{bad}"
            );
        }
        let refused = subnet.claim(ip("10.0.0.1"), &free);
        assert!(matches!(refused, Err(NetworkError::AddressTaken { .. })));
    }

    #[test]
    fn a_range_must_lie_inside() {
        for range in ["10.0.1.0/25", "10.0.0.0/23", "fd00::/64"] {
            let refused = subnet("10.0.0.0/24").with_range(range.parse().unwrap());
            assert!(
                matches!(refused, Err(NetworkError::RangeOutside { .. })),
                "{range}"
            );
        }
    }

    #[test]
    fn two_hundred_and_fifty_three_endpoints_fit_into_a_24() {
        let subnet = subnet("10.0.0.0/24");
        let mut leased = BTreeSet::new();
        for _ in 0..253 {
            leased.insert(subnet.allocate(&leased).unwrap());
        }
        assert!(matches!(
            subnet.allocate(&leased),
            Err(NetworkError::SubnetFull { .. })
        ));
    }

    #[test]
    fn a_subnet_without_room_is_refused() {
        for text in ["10.0.0.0/31", "10.0.0.0/32", "fd00::/128"] {
            assert!(Subnet::new(text.parse().unwrap()).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_two_endpoints_share_an_address(
            base: u32, len in 20..=29_u8, reserved in proptest::collection::vec(any::<u8>(), 0..4)
        ) {
            let cidr = Cidr::new(IpAddr::V4(base.into()), len).unwrap();
            let plain = Subnet::new(cidr).unwrap();
            let aux = reserved.iter().map(|n| cidr.with_offset(u128::from(*n % 5) + 2));
            let subnet = plain.with_reserved(aux.collect::<Vec<_>>()).unwrap();
            let mut leased = BTreeSet::new();
            while let Ok(address) = subnet.allocate(&leased) {
                assert!(subnet.cidr().contains(address));
                assert_ne!(address, subnet.gateway().address());
                assert!(leased.insert(address));
                if leased.len() > 40 {
                    break;
                }
            }
        }
    }
}
