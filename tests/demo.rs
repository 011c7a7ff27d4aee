//! The demo, as a person starts it.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use owncast_herald::sim::demo::{self, DemoError, DemoOptions, Play};
use owncast_herald::sim::owncast::{Faults, Refusal};

#[derive(Clone, Default)]
struct Paper(Arc<Mutex<Vec<u8>>>);

impl Paper {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_story_is_told_once_in_time() {
    let began = Instant::now();
    demo::run(DemoOptions { once: true, color: false }).await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(30), "took {:?}", began.elapsed());
}
