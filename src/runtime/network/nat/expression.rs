//! The expressions that rules are made of, as the kernel's packet filter takes them; pure.

use crate::runtime::kernel::netlink::AttributeWriter;

pub(super) const FAMILY_INET: u8 = 1;
pub(super) const FAMILY_IPV4: u8 = 2;
pub(super) const FAMILY_IPV6: u8 = 10;

pub(super) const NEW_TABLE: u16 = 0;
pub(super) const DELETE_TABLE: u16 = 2;
pub(super) const NEW_CHAIN: u16 = 3;
pub(super) const GET_CHAIN: u16 = 4;
pub(super) const NEW_RULE: u16 = 6;
pub(super) const GET_RULE: u16 = 7;
pub(super) const DELETE_RULE: u16 = 8;
pub(super) const NEW_SET: u16 = 9;
pub(super) const NEW_ELEMENTS: u16 = 12;
pub(super) const GET_ELEMENTS: u16 = 13;
pub(super) const DELETE_ELEMENTS: u16 = 14;

pub(super) const HOOK_PREROUTING: u32 = 0;
pub(super) const HOOK_FORWARD: u32 = 2;
pub(super) const HOOK_OUTPUT: u32 = 3;
pub(super) const HOOK_POSTROUTING: u32 = 4;

const LIST_ELEMENT: u16 = 1;
const EXPRESSION_NAME: u16 = 1;
const EXPRESSION_DATA: u16 = 2;
const DATA_VALUE: u16 = 1;
const DATA_VERDICT: u16 = 2;
const VERDICT_CODE: u16 = 1;
const REGISTER_VERDICT: u32 = 0;
const COMPARE_EQUAL: u32 = 0;
const COMPARE_DIFFERENT: u32 = 1;
const LOOKUP_INVERTED: u32 = 1;
const META_FAMILY: u32 = 15;
const META_L4_PROTOCOL: u32 = 16;
const PAYLOAD_NETWORK: u32 = 1;
const PAYLOAD_TRANSPORT: u32 = 2;
const CT_STATE: u32 = 0;
/// `established` and `related`, in the kernel's numbering of states.
const CT_STATE_KNOWN: u32 = 2 | 4;
const CT_STATUS: u32 = 2;
/// `dnat`, in the kernel's numbering of what was done to a connection.
const CT_STATUS_LED: u32 = 1 << 5;
const FIB_ADDRESS_TYPE: u32 = 3;
const FIB_DESTINATION: u32 = 1 << 1;
const ADDRESS_OF_THIS_MACHINE: u32 = 2;
const NAT_DESTINATION: u32 = 1;
/// The first of the registers that hold 4 bytes; the others follow.
const FIRST_WORD: u32 = 8;

/// A register of the rule machine that holds 16 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Register {
    First = 1,
    Second = 2,
}

/// What becomes of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Verdict {
    Drop = 0,
    Accept = 1,
}

/// Which side of a packet's way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Side {
    /// The interface it came in by.
    In = 6,
    /// The interface it leaves by.
    Out = 7,
}

/// Whether a lookup asks for members or for others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Member {
    Yes,
    No,
}

/// What a map of published ports is asked with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyParts {
    /// The protocol and the port, whichever of the machine's addresses it is.
    Port,
    /// The address as well.
    AddressAndPort,
}

/// A rule in the making.
#[derive(Debug, Clone, Default)]
pub(super) struct Rule {
    expressions: AttributeWriter,
}

impl Rule {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// Returns the list of expressions.
    pub(super) fn expressions(&self) -> &AttributeWriter {
        &self.expressions
    }

    /// Goes on if the interface's name is, or is not, in the set.
    pub(super) fn link(self, side: Side, member: Member, set: &str) -> Self {
        self.load_link(side, Register::First).lookup(member, set)
    }

    /// Goes on if both interfaces' names together are in the set.
    pub(super) fn both_links(self, set: &str) -> Self {
        self.load_link(Side::In, Register::First)
            .load_link(Side::Out, Register::Second)
            .lookup(Member::Yes, set)
    }

    /// Goes on if the packet belongs to a connection that was let through before.
    pub(super) fn known_connection(self) -> Self {
        self.has_bits(CT_STATE, CT_STATE_KNOWN)
    }

    /// Goes on if what is tracked of the packet's connection has one of these bits.
    fn has_bits(self, what: u32, bits: u32) -> Self {
        let first = Register::First as u32;
        let zero = data(&0_u32.to_ne_bytes());
        self.add(
            "ct",
            &AttributeWriter::new().number(1, first).number(2, what),
        )
        .add(
            "bitwise",
            &AttributeWriter::new()
                .number(1, first)
                .number(2, first)
                .number(3, 4)
                .nest(4, &data(&bits.to_ne_bytes()))
                .nest(5, &zero),
        )
        .add("cmp", &compare(COMPARE_DIFFERENT, &zero))
    }

    /// Goes on if the packet is of this family.
    pub(super) fn family(self, family: u8) -> Self {
        let load = AttributeWriter::new().number(1, Register::First as u32);
        self.add("meta", &load.number(2, META_FAMILY))
            .add("cmp", &compare(COMPARE_EQUAL, &data(&[family])))
    }

    /// Goes on if the packet has this protocol above IP.
    pub(super) fn protocol(self, number: u8) -> Self {
        let load = AttributeWriter::new().number(1, Register::First as u32);
        self.add("meta", &load.number(2, META_L4_PROTOCOL))
            .add("cmp", &compare(COMPARE_EQUAL, &data(&[number])))
    }

    /// Goes on if the packet's connection was led to another destination than its client named.
    pub(super) fn led_connection(self) -> Self {
        self.has_bits(CT_STATUS, CT_STATUS_LED)
    }

    /// Goes on if the packet goes to an address of this machine.
    pub(super) fn local_destination(self) -> Self {
        let load = AttributeWriter::new()
            .number(1, Register::First as u32)
            .number(2, FIB_ADDRESS_TYPE)
            .number(3, FIB_DESTINATION);
        let wanted = data(&ADDRESS_OF_THIS_MACHINE.to_ne_bytes());
        self.add("fib", &load)
            .add("cmp", &compare(COMPARE_EQUAL, &wanted))
    }

    /// Leads the connection to where a map says, by its destination; goes on if the map says nothing.
    pub(super) fn lead_by(self, map: &str, key: KeyParts) -> Self {
        const PORT_OFFSET: u32 = 2;
        const ADDRESS_OFFSET: u32 = 16;
        let payload = |base, offset, length, register| {
            AttributeWriter::new()
                .number(1, register)
                .number(2, base)
                .number(3, offset)
                .number(4, length)
        };
        let mut rule = self;
        let mut word = FIRST_WORD;
        if key == KeyParts::AddressAndPort {
            let address = payload(PAYLOAD_NETWORK, ADDRESS_OFFSET, 4, word);
            rule = rule.add("payload", &address);
            word += 1;
        }
        let protocol = AttributeWriter::new().number(1, word);
        let port = payload(PAYLOAD_TRANSPORT, PORT_OFFSET, 2, word + 1);
        let lookup = AttributeWriter::new()
            .text(1, map)
            .number(2, FIRST_WORD)
            .number(3, FIRST_WORD);
        let nat = AttributeWriter::new()
            .number(1, NAT_DESTINATION)
            .number(2, u32::from(FAMILY_IPV4))
            .number(3, FIRST_WORD)
            .number(5, FIRST_WORD + 1);
        rule.add("meta", &protocol.number(2, META_L4_PROTOCOL))
            .add("payload", &port)
            .add("lookup", &lookup)
            .add("nat", &nat)
    }

    /// Goes on if the packet goes to this IPv4 address.
    pub(super) fn destination(self, ip: [u8; 4]) -> Self {
        const OFFSET: u32 = 16;
        self.load_payload(PAYLOAD_NETWORK, OFFSET, 4)
            .add("cmp", &compare(COMPARE_EQUAL, &data(&ip)))
    }

    /// Goes on if the packet goes to this port.
    pub(super) fn destination_port(self, port: u16) -> Self {
        const OFFSET: u32 = 2;
        self.load_payload(PAYLOAD_TRANSPORT, OFFSET, 2)
            .add("cmp", &compare(COMPARE_EQUAL, &data(&port.to_be_bytes())))
    }

    /// Leads the connection to this IPv4 address and port.
    pub(super) fn lead_to(self, ip: [u8; 4], port: u16) -> Self {
        let (first, second) = (Register::First as u32, Register::Second as u32);
        let load = |register, value: &[u8]| {
            AttributeWriter::new()
                .number(1, register)
                .nest(2, &data(value))
        };
        self.add("immediate", &load(first, &ip))
            .add("immediate", &load(second, &port.to_be_bytes()))
            .add(
                "nat",
                &AttributeWriter::new()
                    .number(1, NAT_DESTINATION)
                    .number(2, u32::from(FAMILY_IPV4))
                    .number(3, first)
                    .number(5, second),
            )
    }

    /// Ends the rule: the packet leaves with the address of the interface it leaves by.
    pub(super) fn masquerade(self) -> Self {
        self.add("masq", &AttributeWriter::new())
    }

    /// Ends the rule with a verdict.
    pub(super) fn verdict(self, verdict: Verdict) -> Self {
        let code = AttributeWriter::new().number(VERDICT_CODE, verdict as u32);
        let data = AttributeWriter::new().nest(DATA_VERDICT, &code);
        self.add(
            "immediate",
            &AttributeWriter::new()
                .number(1, REGISTER_VERDICT)
                .nest(2, &data),
        )
    }

    fn load_link(self, side: Side, register: Register) -> Self {
        let load = AttributeWriter::new().number(1, register as u32);
        self.add("meta", &load.number(2, side as u32))
    }

    fn load_payload(self, base: u32, offset: u32, length: u32) -> Self {
        let load = AttributeWriter::new().number(1, Register::First as u32);
        self.add(
            "payload",
            &load.number(2, base).number(3, offset).number(4, length),
        )
    }

    fn lookup(self, member: Member, set: &str) -> Self {
        let lookup = AttributeWriter::new()
            .text(1, set)
            .number(2, Register::First as u32);
        self.add(
            "lookup",
            &match member {
                Member::Yes => lookup,
                Member::No => lookup.number(5, LOOKUP_INVERTED),
            },
        )
    }

    fn add(self, name: &str, attributes: &AttributeWriter) -> Self {
        let expression = AttributeWriter::new()
            .text(EXPRESSION_NAME, name)
            .nest(EXPRESSION_DATA, attributes);
        Self {
            expressions: self.expressions.nest(LIST_ELEMENT, &expression),
        }
    }
}

fn compare(operation: u32, value: &AttributeWriter) -> AttributeWriter {
    let first = Register::First as u32;
    AttributeWriter::new()
        .number(1, first)
        .number(2, operation)
        .nest(3, value)
}

/// Returns a value as expressions and elements hold it.
pub(super) fn data(value: &[u8]) -> AttributeWriter {
    AttributeWriter::new().bytes(DATA_VALUE, value)
}
