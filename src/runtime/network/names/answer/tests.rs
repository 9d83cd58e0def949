//! What is answered to which question.

use super::*;
use crate::runtime::network::names::{NameRecord, NetworkNames};

fn table(replicas: u8) -> NameTable {
    let records = (0..replicas)
        .map(|number| NameRecord {
            container: format!("demo-web-{}", number + 1),
            names: vec!["web".to_owned()],
            ipv4: Some(Ipv4Addr::new(10, 0, 0, number + 2)),
            ipv6: None,
            healthy: true,
        })
        .collect();
    let network = "demo_default".to_owned();
    let subnets = vec!["10.0.0.0/24".parse().unwrap()];
    let networks = vec![NetworkNames {
        network,
        subnets,
        records,
    }];
    NameTable {
        networks,
        ..NameTable::default()
    }
}

fn query(name: &str, kind: RecordType) -> Vec<u8> {
    let mut message = Message::new(77, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    message.to_vec().unwrap()
}

fn ask(name: &str, kind: RecordType, outside: Outside, turn: usize) -> Answer {
    let bytes = query(name, kind);
    let question = Question {
        bytes: &bytes,
        over: Transport::Udp,
        outside,
        turn,
    };
    decide(&question, &table(3))
}

fn parsed(answer: Answer) -> Message {
    let Answer::Reply(bytes) = answer else {
        panic!("{answer:?}")
    };
    Message::from_vec(&bytes).unwrap()
}

fn first_ip(message: &Message) -> IpAddr {
    match &message.answers[0].data {
        RData::A(a) => IpAddr::V4(a.0),
        other => panic!("{other:?}"),
    }
}

#[test]
fn replicas_take_turns() {
    let answer = |turn| parsed(ask("Web.", RecordType::A, Outside::Ask, turn));
    let firsts: Vec<IpAddr> = (0..3).map(|turn| first_ip(&answer(turn))).collect();
    assert_eq!(
        firsts,
        ["10.0.0.2", "10.0.0.3", "10.0.0.4"].map(|ip| ip.parse::<IpAddr>().unwrap())
    );
    let message = answer(0);
    assert_eq!((message.metadata.id, message.answers.len()), (77, 3));
    assert!(message.metadata.recursion_available);
}

#[test]
fn a_known_name_without_such_a_record_exists_all_the_same() {
    for kind in [RecordType::AAAA, RecordType::MX, RecordType::HTTPS] {
        let message = parsed(ask("web.", kind, Outside::Ask, 0));
        assert_eq!(message.metadata.response_code, ResponseCode::NoError);
        assert!(message.answers.is_empty());
    }
}

#[test]
fn an_unknown_name_goes_outside_only_where_there_is_an_outside() {
    assert_eq!(
        ask("example.com.", RecordType::A, Outside::Ask, 0),
        Answer::Forward
    );
    let message = parsed(ask("example.com.", RecordType::A, Outside::Never, 0));
    assert_eq!(message.metadata.response_code, ResponseCode::NXDomain);
}

#[test]
fn an_address_is_named_by_its_container_and_ours_never_leak() {
    let message = parsed(ask(
        "2.0.0.10.in-addr.arpa.",
        RecordType::PTR,
        Outside::Ask,
        0,
    ));
    assert_eq!(
        message.answers[0].data.to_string(),
        "demo-web-1.demo_default."
    );
    let message = parsed(ask(
        "9.0.0.10.in-addr.arpa.",
        RecordType::PTR,
        Outside::Ask,
        0,
    ));
    assert_eq!(message.metadata.response_code, ResponseCode::NXDomain);
    let foreign = ask("8.8.8.8.in-addr.arpa.", RecordType::PTR, Outside::Ask, 0);
    assert_eq!(foreign, Answer::Forward);
}

#[test]
fn reverse_names_are_read_whole_or_not_at_all() {
    let v6 = format!("{}ip6.arpa", "1.".to_owned() + &"0.".repeat(30) + "f.");
    assert_eq!(reverse_address(&v6), Some("f000::1".parse().unwrap()));
    for bad in [
        "1.2.3.in-addr.arpa",
        "1.2.3.4.5.in-addr.arpa",
        "10.ip6.arpa",
        "in-addr.arpa",
        "a",
    ] {
        assert_eq!(reverse_address(bad), None, "{bad}");
    }
}

/// Asks for `web` of that many replicas; the client takes datagrams of this size, if it says so.
fn many(replicas: u8, over: Transport, payload: Option<u16>) -> (usize, Message) {
    let mut message = Message::from_vec(&query("web.", RecordType::A)).unwrap();
    if let Some(payload) = payload {
        message.set_edns(Edns::new().set_max_payload(payload).clone());
    }
    let bytes = message.to_vec().unwrap();
    let question = Question {
        bytes: &bytes,
        over,
        outside: Outside::Ask,
        turn: 7,
    };
    let Answer::Reply(reply) = decide(&question, &table(replicas)) else {
        panic!()
    };
    (reply.len(), Message::from_vec(&reply).unwrap())
}

#[test]
fn an_answer_that_is_cut_says_so_and_is_whole_otherwise() {
    let (_, message) = many(24, Transport::Udp, None);
    assert_eq!(message.answers.len(), 24);
    assert!(!message.metadata.truncation);
    let (length, message) = many(200, Transport::Udp, None);
    assert!(length <= 512 && length > 480, "{length}");
    assert!(message.answers.len() >= 30 && message.metadata.truncation);
    let (length, message) = many(200, Transport::Udp, Some(1232));
    assert!(length <= 1232 && length > 1200, "{length}");
    assert!(message.metadata.truncation);
    for (over, payload) in [(Transport::Tcp, None), (Transport::Udp, Some(u16::MAX))] {
        let (_, message) = many(200, over, payload);
        assert_eq!(message.answers.len(), 200);
        assert!(!message.metadata.truncation);
    }
}

#[test]
fn a_question_with_edns_is_answered_with_edns() {
    let (_, message) = many(1, Transport::Udp, Some(0));
    assert_eq!(message.edns.unwrap().version(), 0);
    assert!(many(1, Transport::Udp, None).1.edns.is_none());
    let mut message = Message::from_vec(&query("web.", RecordType::A)).unwrap();
    message.set_edns(Edns::new().set_version(1).clone());
    let bytes = message.to_vec().unwrap();
    let question = Question {
        bytes: &bytes,
        over: Transport::Udp,
        outside: Outside::Ask,
        turn: 0,
    };
    let message = parsed(decide(&question, &table(1)));
    // The same number as BADSIG, which the library knows first.
    assert_eq!(
        u16::from(message.metadata.response_code),
        u16::from(ResponseCode::BADVERS)
    );
    assert!(message.answers.is_empty());
}

#[test]
fn an_answer_is_not_answered() {
    let mut bytes = query("web.", RecordType::A);
    bytes[2] |= 0x80;
    let outside = Outside::Ask;
    let question = Question {
        bytes: &bytes,
        over: Transport::Udp,
        outside,
        turn: 0,
    };
    assert_eq!(decide(&question, &table(1)), Answer::Ignore);
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_the_server_panic_or_talk_outside(bytes: Vec<u8>) {
        let outside = Outside::Never;
        let question = Question { bytes: &bytes, over: Transport::Udp, outside, turn: 0 };
        assert_ne!(decide(&question, &table(1)), Answer::Forward);
    }

    #[test]
    fn a_damaged_question_is_no_panic(at in 0..30_usize, value: u8) {
        let mut bytes = query("web.demo_default.", RecordType::A);
        let at = at % bytes.len();
        bytes[at] = value;
        let outside = Outside::Ask;
        let question = Question { bytes: &bytes, over: Transport::Tcp, outside, turn: 0 };
        drop(decide(&question, &table(2)));
    }
}
