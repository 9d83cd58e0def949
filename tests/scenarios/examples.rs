//! The projects in `examples/`, run as a user would run them.

use crate::support::checks::{free_port, http_post};
use crate::support::machine::{self, needs};
use crate::support::registry::DebianRegistry;
use crate::support::{Sandbox, http_get, until};

#[test]
fn quickstart_counts_visits_and_keeps_the_count() {
    let port = free_port().to_string();
    let sandbox = Sandbox::of_example("quickstart").with_env("QUICKSTART_PORT", &port);
    let address = format!("127.0.0.1:{port}");
    sandbox.consort(&["up", "-d", "--wait"]).succeeds();
    let greeting = http_get(&address, "/").unwrap();
    assert!(
        greeting.starts_with("hello, you are visitor number "),
        "{greeting}"
    );
    until("a visitor's log", || {
        sandbox
            .logs("visitor")
            .contains("you are visitor number")
            .then_some(())
    });
    sandbox.consort(&["up", "-d", "--wait"]).succeeds();
    assert_eq!(sandbox.field("web", "Health").as_deref(), Some("healthy"));
    let count = |text: &str| -> u32 { text.trim().rsplit(' ').next().unwrap().parse().unwrap() };
    let before = count(&http_get(&address, "/").unwrap());
    sandbox.consort(&["down"]).succeeds();
    assert_eq!(sandbox.leftovers(&[]), "");
    assert_eq!(http_get(&address, "/"), None);
    sandbox.consort(&["up", "-d", "--wait"]).succeeds();
    assert!(count(&http_get(&address, "/").unwrap()) > before);
    sandbox.ends_clean();
}

#[test]
fn shop_sells_through_all_its_services() {
    needs!(
        machine::images(),
        machine::program("docker-registry"),
        machine::id_ranges()
    );
    let registry = DebianRegistry::start();
    let port = free_port().to_string();
    let sandbox = Sandbox::of_example("shop")
        .with_env("SHOP_PORT", &port)
        .with_env("CONSORT_REGISTRY_MIRRORS", &registry.as_mirror());
    let address = format!("127.0.0.1:{port}");
    sandbox.consort(&["up", "-d", "--wait"]).succeeds();
    // The web front has no health check: it runs before it answers.
    let page = until("the shop", || http_get(&address, "/"));
    assert!(page.contains("<h1>shop</h1>"), "{page}");
    let products = until("products", || http_get(&address, "/api/products"));
    assert!(
        products.contains("metronome") && products.contains("database"),
        "{products}"
    );
    let cached = http_get(&address, "/api/products").unwrap();
    assert!(cached.contains("\"from\": \"cache\""), "{cached}");
    let placed = http_post(&address, "/api/orders", "{\"product\": 2}").unwrap();
    assert!(placed.contains("\"id\": 1"), "{placed}");

    assert_eq!(
        sandbox.sh("db", "ip route 2>/dev/null | grep -c default || true"),
        "0"
    );
    assert_eq!(
        sandbox.sh("app", "cat /run/secrets/db_password"),
        "only-for-this-example"
    );

    sandbox.consort(&["down"]).succeeds();
    assert_eq!(sandbox.leftovers(&[]), "");
    sandbox.consort(&["up", "-d", "--wait"]).succeeds();
    let orders = until("the orders", || http_get(&address, "/api/orders"));
    assert!(
        orders.contains("\"product\": 2"),
        "orders survive `down`: {orders}"
    );
    sandbox.consort(&["down", "-v"]).succeeds();
    sandbox.consort(&["up", "-d", "--wait"]).succeeds();
    let orders = until("no orders", || http_get(&address, "/api/orders"));
    assert_eq!(orders.trim(), "[]", "orders go with `down -v`");
    sandbox.ends_clean();
}

#[test]
fn batch_migrates_once_and_shares_the_work() {
    needs!(machine::images(), machine::program("docker-registry"));
    let registry = DebianRegistry::start();
    let sandbox =
        Sandbox::of_example("batch").with_env("CONSORT_REGISTRY_MIRRORS", &registry.as_mirror());
    sandbox.consort(&["up", "-d"]).succeeds();
    let workers = |sandbox: &Sandbox| {
        sandbox
            .ps()
            .iter()
            .filter(|one| one["Service"] == "worker" && one["State"] == "running")
            .count()
    };
    assert_eq!(workers(&sandbox), 3);
    assert_eq!(sandbox.field("migrate", "ExitCode").as_deref(), Some("0"));
    until("every job", || {
        (sandbox.sh("worker", "ls /queue/finished | wc -l") == "12").then_some(())
    });
    assert_eq!(
        sandbox.sh("worker", "cut -d ' ' -f 1 /queue/finished/12"),
        "144"
    );

    sandbox.consort(&["plan"]).succeeds();
    let migrated = sandbox.logs("migrate");
    sandbox
        .consort(&["up", "-d", "--scale", "worker=5"])
        .succeeds();
    assert_eq!(workers(&sandbox), 5);
    assert_eq!(
        sandbox.logs("migrate"),
        migrated,
        "a migration that is done is not run again"
    );
    sandbox.ends_clean();
}
