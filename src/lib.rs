//! consort: reads a Compose project, works out what must change, and makes it so.
//!
//! # The map
//!
//! One line runs through the program; the rooms below are in the order in which data passes them:
//!
//! ```text
//! files ─► compose ─► Project ─► desired ─► DesiredState ─┐
//!                                                         ├─► plan ─► Plan ─► reconcile ─► engine ─► Linux
//!                    engine.observe ─► ObservedState ─────┘                      │
//!                                                                                └─► Event ─► report ─► bytes
//! ```
//!
//! | room | turns what into what |
//! |---|---|
//! | [`cli`] | argv into an exit code; one file per verb |
//! | [`compose`] | files into a [`compose::Project`]; the only room that knows YAML |
//! | [`desired`] | a project into exact container, network and volume specs |
//! | [`observed`] | plain data: what an engine says is there |
//! | [`plan`] | desired and observed into a DAG of steps with causes; pure |
//! | [`engine`] | one step into a changed machine |
//! | [`reconcile`] | a plan into events, by walking it; decides nothing |
//! | [`report`] | events into bytes for people and programs |
//! | [`runtime`] | how a container really runs on this kernel |
//! | [`graph`] | ground: DAGs and cycles |
//! | [`value`] | ground: small checked values, parsed once |
//!
//! # Which process runs what
//!
//! | process | code | lives as long as |
//! |---|---|---|
//! | `consort …` | everything else | one command |
//! | `consort [monitor]` | [`runtime::monitor`] | one container |
//! | `consort [init]` | [`runtime::container`]'s `init` | until `execve` |
//! | `consort [exec]` | [`runtime::container::exec`] | one program that joined a container |
//! | `consort [holder]` | rootless only: [`runtime::network::holder`] | any container of this user |
//!
//! # The import law
//!
//! `tests/architecture.rs` reads this table and enforces it.
//!
//! ```imports
//! value:
//! graph:
//! observed: value
//! runtime: value
//! compose: value graph
//! desired: value graph compose
//! plan: value graph desired observed
//! engine: value desired observed plan runtime
//! reconcile: value graph desired observed plan engine
//! report: value observed plan reconcile
//! cli: value graph compose desired observed plan engine reconcile report runtime
//! runtime/kernel:
//! runtime/store: kernel
//! runtime/git: kernel store
//! runtime/copy: kernel
//! runtime/image: kernel store
//! runtime/volume: kernel store
//! runtime/network: kernel store
//! runtime/container: kernel store
//! runtime/monitor: kernel store image volume network container
//! runtime/build: kernel store git image volume network container monitor
//! ```

pub mod cli;
pub mod compose;
pub mod desired;
pub mod engine;
pub mod observed;
pub mod plan;
pub mod reconcile;
pub mod report;
pub mod graph;
pub mod runtime;
pub mod value;
