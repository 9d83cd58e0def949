//! `172.18.0.1/16` into an address and the length of its network prefix.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An address with the length of its network prefix: a subnet, or an address inside one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cidr {
    address: IpAddr,
    prefix_len: u8,
}

/// Why text is not an address with a prefix length.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CidrError {
    /// The text does not have the form.
    #[error("read `{0}` as a subnet: expected an address, `/` and a number, as in `172.28.0.0/16`")]
    Form(String),
    /// The prefix is longer than an address.
    #[error("read `{text}` as a subnet: its prefix has at most {max} bits")]
    PrefixTooLong {
        /// The text.
        text: String,
        /// The number of bits of such an address.
        max: u8,
    },
}

impl Cidr {
    /// Puts an address and a prefix length together; `None` if the prefix is too long.
    pub fn new(address: IpAddr, prefix_len: u8) -> Option<Self> {
        (prefix_len <= bits_of(address)).then_some(Self {
            address,
            prefix_len,
        })
    }

    /// Returns the address, host bits included.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// Returns the number of bits that name the network.
    pub fn prefix_len(&self) -> u8 {
        self.prefix_len
    }

    /// Returns the same with every host bit zero.
    #[must_use]
    pub fn network(&self) -> Self {
        let address = self.with_offset(0);
        Self {
            address,
            prefix_len: self.prefix_len,
        }
    }

    /// Returns the highest address of the network; for IPv4 the broadcast address.
    pub fn last(&self) -> IpAddr {
        self.with_offset(self.host_mask())
    }

    /// Returns the address that lies `offset` above the lowest one, wrapped at the network's end.
    pub fn with_offset(&self, offset: u128) -> IpAddr {
        let mask = self.host_mask();
        let number = (number_of(self.address) & !mask) | (offset & mask);
        match self.address {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::from_bits(
                u32::try_from(number).unwrap_or(u32::MAX),
            )),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::from_bits(number)),
        }
    }

    /// Returns how far an address lies above the lowest one of this network.
    pub fn offset_of(&self, address: IpAddr) -> Option<u128> {
        self.contains(address)
            .then(|| number_of(address) & self.host_mask())
    }

    /// Returns how far the highest address lies above the lowest one.
    pub fn host_mask(&self) -> u128 {
        let host_bits = u32::from(bits_of(self.address) - self.prefix_len);
        u128::MAX.checked_shr(128 - host_bits).unwrap_or(0)
    }

    /// Reports whether the address lies in this network.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.address.is_ipv4() == address.is_ipv4()
            && (number_of(self.address) ^ number_of(address)) & !self.host_mask() == 0
    }

    /// Reports whether some address lies in both networks.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.contains(other.network().address) || other.contains(self.network().address)
    }

    /// Reports whether this is IPv4.
    pub fn is_ipv4(&self) -> bool {
        self.address.is_ipv4()
    }
}

fn bits_of(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn number_of(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix_len)
    }
}

impl FromStr for Cidr {
    type Err = CidrError;

    fn from_str(text: &str) -> Result<Self, CidrError> {
        let form = || CidrError::Form(text.to_owned());
        let (address, length) = text.split_once('/').ok_or_else(form)?;
        if length.is_empty() || !length.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(form());
        }
        let address: IpAddr = address.parse().map_err(|_| form())?;
        let max = bits_of(address);
        let too_long = || CidrError::PrefixTooLong {
            text: text.to_owned(),
            max,
        };
        let length = length.parse().map_err(|_| too_long())?;
        Self::new(address, length).ok_or_else(too_long)
    }
}

impl TryFrom<String> for Cidr {
    type Error = CidrError;

    fn try_from(text: String) -> Result<Self, CidrError> {
        text.parse()
    }
}

impl From<Cidr> for String {
    fn from(cidr: Cidr) -> Self {
        cidr.to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{Strategy, any, prop_oneof, proptest};

    use super::*;

    fn any_cidr() -> impl Strategy<Value = Cidr> {
        let v4 = (any::<Ipv4Addr>(), 0..=32_u8).prop_map(|(ip, len)| (IpAddr::V4(ip), len));
        let v6 = (any::<Ipv6Addr>(), 0..=128_u8).prop_map(|(ip, len)| (IpAddr::V6(ip), len));
        prop_oneof![v4, v6].prop_map(|(ip, len)| Cidr::new(ip, len).unwrap())
    }

    proptest! {
        #[test]
        fn parse_of_render_is_the_same(cidr in any_cidr()) {
            assert_eq!(cidr.to_string().parse::<Cidr>().unwrap(), cidr);
        }

        #[test]
        fn a_network_contains_its_ends_and_overlaps_itself(cidr in any_cidr()) {
            assert!(cidr.contains(cidr.network().address()));
            assert!(cidr.contains(cidr.last()));
            assert!(cidr.overlaps(&cidr.network()));
            assert_eq!(cidr.offset_of(cidr.last()), Some(cidr.host_mask()));
        }

        #[test]
        fn overlap_is_symmetric(one in any_cidr(), other in any_cidr()) {
            assert_eq!(one.overlaps(&other), other.overlaps(&one));
        }

        #[test]
        fn no_text_makes_the_parser_panic(text: String) {
            let _parsed = text.parse::<Cidr>();
        }
    }

    #[test]
    fn a_refusal_says_what_was_expected() {
        for text in ["", "1.2.3.4", "1.2.3.4/", "1.2.3.4/+8", "x/8"] {
            assert!(
                matches!(text.parse::<Cidr>(), Err(CidrError::Form(_))),
                "{text}"
            );
        }
        let error = "1.2.3.4/33".parse::<Cidr>().unwrap_err().to_string();
        assert!(error.contains("at most 32 bits"), "{error}");
    }
}
