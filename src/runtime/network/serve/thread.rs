//! The thread itself: enters the namespace, opens what listens there, and serves until told to stop.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, eventfd};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::runtime::kernel::process;
use crate::runtime::network::NetworkError;
use crate::runtime::network::publish::{HostSockets, Protocol, PublishedPort};

use super::datagram::Datagrams;
use super::names::NameServer;
use super::reactor::{Reactor, Token, Wake};
use super::stream::Streams;
use super::{NamesConfig, PortTarget, Room, ServeConfig};

/// Far more than the thread needs; what is not touched costs nothing.
const STACK_BYTES: usize = 256 << 10;

/// What the thread is told.
#[derive(Debug)]
enum Order {
    Serve(PortTarget, Option<NamesConfig>),
    Publish(Vec<PublishedPort>),
    Stop,
}

/// The thread that serves one container; it ends when this is dropped.
#[derive(Debug)]
pub struct NetThread {
    handle: Option<JoinHandle<()>>,
    orders: Sender<Order>,
    bell: Arc<OwnedFd>,
}

impl NetThread {
    /// Starts the thread and returns once everything listens, or says why it does not.
    pub fn spawn(config: ServeConfig) -> Result<Self, NetworkError> {
        let failed = |source| NetworkError::Serve {
            act: "start the network thread",
            source,
        };
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        let bell = Arc::new(eventfd(0, flags).map_err(|error| failed(error.into()))?);
        let (orders, received) = channel();
        let (ready, readiness) = channel();
        let thread_bell = Arc::clone(&bell);
        let run = move || match Server::new(config, received, thread_bell) {
            Ok(mut server) => {
                // Whoever started us waits for exactly one message.
                drop(ready.send(Ok(())));
                drop(ready);
                server.run();
            }
            Err(error) => drop(ready.send(Err(error))),
        };
        let builder = Builder::new()
            .name("consort-net".to_owned())
            .stack_size(STACK_BYTES);
        let handle = Some(builder.spawn(run).map_err(failed)?);
        let died = || failed(io::Error::other("it ended before it was ready"));
        readiness.recv().map_err(|_| died())??;
        Ok(Self {
            handle,
            orders,
            bell,
        })
    }

    /// Serves by other addresses and names from now on, after a network came or went.
    pub fn update(
        &self,
        target: PortTarget,
        names: Option<NamesConfig>,
    ) -> Result<(), NetworkError> {
        self.order(Order::Serve(target, names))
    }

    /// Serves further ports from now on, which could not be opened when it was started.
    pub fn publish(&self, ports: Vec<PublishedPort>) -> Result<(), NetworkError> {
        self.order(Order::Publish(ports))
    }

    fn order(&self, order: Order) -> Result<(), NetworkError> {
        let act = "change what the network thread serves";
        let failed = |source| NetworkError::Serve { act, source };
        let gone = |_| failed(io::Error::other("it has ended"));
        self.orders.send(order).map_err(gone)?;
        self.ring().map_err(failed)
    }

    /// Reports whether the thread ended by itself, which only a kernel out of memory makes it do.
    pub fn has_ended(&self) -> bool {
        self.handle.as_ref().is_none_or(JoinHandle::is_finished)
    }

    fn ring(&self) -> io::Result<()> {
        let _count = rustix::io::write(self.bell.as_fd(), &1_u64.to_ne_bytes())?;
        Ok(())
    }
}

impl Drop for NetThread {
    fn drop(&mut self) {
        // A thread that has ended needs no order.
        drop(self.orders.send(Order::Stop));
        drop(self.ring());
        if let Some(handle) = self.handle.take() {
            drop(handle.join());
        }
    }
}

#[derive(Debug)]
struct Server {
    reactor: Reactor,
    names: Option<NameServer>,
    streams: Streams,
    datagrams: Datagrams,
    orders: Receiver<Order>,
    bell: Arc<OwnedFd>,
}

/// Whether the thread goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Serve,
    Stop,
}

impl Server {
    fn new(
        config: ServeConfig,
        orders: Receiver<Order>,
        bell: Arc<OwnedFd>,
    ) -> Result<Self, NetworkError> {
        let failed = |act| move |source: io::Error| NetworkError::Serve { act, source };
        let host = config.host.for_another_namespace();
        let host = host.map_err(failed("hold the host's network namespace"))?;
        // The namespace that it starts in is that of the bridges.
        let bridges = HostSockets::Here.for_another_namespace();
        let bridges =
            Arc::new(bridges.map_err(failed("hold the network namespace of the bridges"))?);
        move_into_link_name_space(config.netns.as_fd(), Some(LinkNameSpaceType::Network))
            .map_err(|error| failed("enter the container's network namespace")(error.into()))?;
        let (streams, datagrams) = by_protocol(config.ports);
        let room = Room::within(process::descriptor_limit());
        let names = config
            .names
            .map(|names| NameServer::new(names, host))
            .transpose();
        let mut server = Self {
            reactor: Reactor::new().map_err(failed("make an epoll set"))?,
            names: names.map_err(failed("listen for questions at 127.0.0.11"))?,
            streams: Streams::new(streams, config.target, room.streams, Arc::clone(&bridges)),
            datagrams: Datagrams::new(datagrams, config.target, room.sessions, bridges),
            orders,
            bell,
        };
        server.register().map_err(failed("watch sockets"))?;
        Ok(server)
    }

    fn register(&mut self) -> io::Result<()> {
        self.reactor
            .add(&*self.bell, Token::Control, Wake::Readable)?;
        if let Some(names) = &self.names {
            names.register(&self.reactor)?;
        }
        self.streams.register(&self.reactor)?;
        self.datagrams.register(&self.reactor)
    }

    fn publish(&mut self, ports: Vec<PublishedPort>) {
        let (streams, datagrams) = by_protocol(ports);
        for port in streams {
            self.streams.listen(port, &self.reactor);
        }
        for port in datagrams {
            self.datagrams.listen(port, &self.reactor);
        }
    }

    fn run(&mut self) {
        let mut deadline = None;
        loop {
            let now = now();
            let until = |deadline: Instant| deadline.saturating_duration_since(now);
            let timeout = if self.streams.has_unfinished() {
                Some(Duration::ZERO)
            } else {
                deadline.map(until)
            };
            let Ok(tokens) = self.reactor.wait(timeout) else {
                return;
            };
            let now = self::now();
            for token in tokens {
                if self.handle(token, now) == Next::Stop {
                    return;
                }
            }
            self.streams.advance_unfinished(&self.reactor);
            let names = self.names.as_mut();
            let names = names.and_then(|names| names.sweep(now, &self.reactor));
            deadline = [names, self.datagrams.sweep(now)]
                .into_iter()
                .flatten()
                .min();
        }
    }

    fn handle(&mut self, token: Token, now: Instant) -> Next {
        let reactor = &self.reactor;
        match token {
            Token::Control => return self.obey(),
            Token::StreamListener(index) => self.streams.accept(index, reactor),
            Token::Stream(id) => self.streams.advance(id, reactor),
            Token::DatagramListener(index) => {
                self.datagrams.take_from_clients(index, now, reactor);
            }
            Token::DatagramSession(id) => self.datagrams.give_to_client(id, now, reactor),
            Token::DnsDatagrams
            | Token::DnsListener
            | Token::DnsClient(_)
            | Token::DnsUpstream(_) => {
                if let Some(names) = &mut self.names {
                    names.handle(token, now, reactor);
                }
            }
        }
        Next::Serve
    }

    fn obey(&mut self) -> Next {
        let mut count = [0_u8; 8];
        // Empty when an earlier turn took the orders already.
        let _count = rustix::io::read(self.bell.as_fd(), &mut count);
        while let Ok(order) = self.orders.try_recv() {
            match order {
                Order::Stop => return Next::Stop,
                Order::Publish(ports) => self.publish(ports),
                Order::Serve(target, names) => {
                    self.streams.set_target(target);
                    self.datagrams.set_target(target);
                    if let (Some(server), Some(config)) = (&mut self.names, names) {
                        server.set_config(config);
                    }
                }
            }
        }
        Next::Serve
    }
}

fn by_protocol(ports: Vec<PublishedPort>) -> (Vec<PublishedPort>, Vec<PublishedPort>) {
    ports
        .into_iter()
        .partition(|port| port.protocol == Protocol::Tcp)
}

#[expect(
    clippy::disallowed_methods,
    reason = "this loop owns the clock of all deadlines below it"
)]
fn now() -> Instant {
    Instant::now()
}
