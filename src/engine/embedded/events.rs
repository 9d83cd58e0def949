//! What happens to the containers of a project, appended and followed.

use std::collections::BTreeMap;
use std::fs::File;

use futures_util::StreamExt as _;
use futures_util::stream;
use rustix::fs::FlockOperation;

use super::inner::Inner;
use super::record::ContainerRecord;
use super::watch::{Change, DirWatch};
use crate::desired::label;
use crate::engine::{ContainerEvent, EngineError, EventKind, EventStream, EventsFrom};
use crate::runtime::monitor::events::{self, EventReader};
use crate::runtime::store::{lock_file, make_dir};
use crate::value::{ProjectName, ServiceName};

impl Inner {
    /// Tells who follows the project's events that something happened to a container.
    ///
    /// A failure is not told: the thing itself has happened, and that is what its caller reports.
    pub(super) fn append_event(
        &self,
        record: &ContainerRecord,
        kind: &EventKind,
        more: &[(&str, String)],
    ) {
        let mut attributes = event_attributes(record);
        attributes.extend(
            more.iter()
                .map(|(key, value)| ((*key).to_owned(), value.clone())),
        );
        drop(attributes.insert("name".to_owned(), record.name.to_string()));
        let event = events::ContainerEvent {
            time: now(),
            id: record.id.clone(),
            action: kind.action().into_owned(),
            attributes,
        };
        drop(events::append(
            &self.layout.events(&record.spec.project),
            &event,
        ));
    }

    /// Reports what happens to the containers of a project.
    pub(super) fn events(
        &self,
        project: &ProjectName,
        from: EventsFrom,
    ) -> Result<EventStream, EngineError> {
        let act =
            |error| EngineError::act(format!("follow the events of project `{project}`"), error);
        let dir = self.layout.project(project);
        make_dir(&dir).map_err(|error| {
            EngineError::act(format!("follow the events of project `{project}`"), error)
        })?;
        let followed = File::open(&dir).map_err(act)?;
        // A folder whose events are followed is not removed.
        lock_file(&followed, FlockOperation::LockShared).map_err(act)?;
        let watch = DirWatch::new(Change::Bytes).map_err(act)?;
        watch.add(&dir).map_err(act)?;
        let path = self.layout.events(project);
        let reader = match from {
            EventsFrom::Now => EventReader::open_at_end(&path),
            EventsFrom::Oldest => EventReader::open_at_start(&path),
        };
        let reader = reader.map_err(act)?;
        let position = Position {
            reader,
            watch,
            _followed: followed,
        };
        Ok(stream::unfold(position, next).boxed())
    }
}

/// Returns what every event says of a container.
pub(super) fn event_attributes(record: &ContainerRecord) -> BTreeMap<String, String> {
    let mut attributes = record.spec.labels.clone();
    drop(attributes.insert("image".to_owned(), record.spec.image.reference.to_string()));
    attributes
}

/// How far the events of a project were followed.
struct Position {
    reader: EventReader,
    watch: DirWatch,
    /// Its folder, locked.
    _followed: File,
}

async fn next(mut position: Position) -> Option<(Result<ContainerEvent, EngineError>, Position)> {
    loop {
        let step = match position.reader.next_event() {
            Ok(Some(event)) => match understood(event) {
                Some(event) => return Some((Ok(event), position)),
                None => continue,
            },
            Ok(None) => position.watch.changed().await,
            Err(error) => Err(error),
        };
        if let Err(error) = step {
            return Some((Err(EngineError::act("follow events", error)), position));
        }
    }
}

fn understood(event: events::ContainerEvent) -> Option<ContainerEvent> {
    let attribute = |name: &str| event.attributes.get(name).map(String::as_str);
    let kind = EventKind::of_action(&event.action, &event.attributes)?;
    let container = attribute("name")?.parse().ok()?;
    let service: ServiceName = attribute(label::SERVICE)?.parse().ok()?;
    let time = event.time.into();
    Some(ContainerEvent {
        time,
        id: event.id,
        container,
        service,
        kind,
        attributes: event.attributes,
    })
}

fn now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}
