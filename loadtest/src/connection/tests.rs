use std::future::pending;

use super::*;

const MOST: Duration = Duration::from_millis(20);

/// The limit of an exchange that was given its time long ago, as that of a connection that is used again.
async fn limited(paused: u64, exchange: impl Future<Output = ()>) -> Result<(), Failure> {
    let limit = std::pin::pin!(tokio::time::sleep(Duration::ZERO));
    let exchange = async {
        exchange.await;
        Ok(())
    };
    within(MOST, &AtomicU64::new(paused), limit, exchange).await
}

#[tokio::test]
async fn only_what_the_server_makes_us_wait_is_limited() {
    assert_eq!(limited(0, async {}).await, Ok(()));
    assert_eq!(limited(0, pending()).await, Err(Failure::Timeout));
    // Five times as long, all of it the client's own.
    let own = 5 * MOST;
    let micros = own.as_micros() as u64;
    assert_eq!(limited(micros, tokio::time::sleep(own)).await, Ok(()));
    assert_eq!(limited(micros, pending()).await, Err(Failure::Timeout));
}

#[tokio::test]
async fn a_slow_reader_counts_its_pauses() {
    let paused = AtomicU64::new(0);
    let reading = Reading {
        sum: false,
        slowly: Some(1_000_000),
    };
    let mut sink = Sink::new(reading, &paused);
    for _ in 0..3 {
        sink.take(&[0; 500]);
        sink.pause().await;
    }
    assert_eq!(paused.into_inner(), 1_500);
}
