//! Leads questions for 127.0.0.11:53 to another port, inside a container that serves port 53 itself.

use crate::runtime::kernel::netlink::{AttributeWriter, FilterBatch, FilterSocket};
use crate::runtime::network::NetworkError;

use super::expression::{DELETE_RULE, FAMILY_INET, FAMILY_IPV4, HOOK_OUTPUT, NEW_TABLE, Rule};
use super::table::{add_chain, add_rule};

const TABLE: &str = "consort_names";
const CHAIN: &str = "output";
const NAME_SERVER: [u8; 4] = [127, 0, 0, 11];
const DNS_PORT: u16 = 53;
const PROTOCOL_TCP: u8 = 6;
const PROTOCOL_UDP: u8 = 17;
const PRIORITY_DESTINATION_NAT: i32 = -100;

/// Sets up the calling thread's network namespace, which must be a container's own.
pub fn redirect_name_server(udp_port: u16, tcp_port: u16) -> Result<(), NetworkError> {
    let mut batch = FilterBatch::new();
    batch.create(
        NEW_TABLE,
        FAMILY_INET,
        AttributeWriter::new().text(1, TABLE),
    );
    add_chain(
        &mut batch,
        TABLE,
        CHAIN,
        ("nat", HOOK_OUTPUT, PRIORITY_DESTINATION_NAT),
    );
    // A monitor that adopts a container finds the rules of the one before it.
    let whole_chain = AttributeWriter::new().text(1, TABLE).text(2, CHAIN);
    batch.push(DELETE_RULE, 0, FAMILY_INET, whole_chain);
    for (protocol, port) in [(PROTOCOL_UDP, udp_port), (PROTOCOL_TCP, tcp_port)] {
        let rule = Rule::new()
            .family(FAMILY_IPV4)
            .destination(NAME_SERVER)
            .protocol(protocol)
            .destination_port(DNS_PORT)
            .lead_to(NAME_SERVER, port);
        add_rule(&mut batch, TABLE, CHAIN, &rule);
    }
    let act = "lead questions for 127.0.0.11 to the name server";
    let committed = FilterSocket::open().and_then(|mut socket| socket.commit(&batch, None));
    committed.map_err(|source| NetworkError::Filter { act, source })
}
