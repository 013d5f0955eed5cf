//! What a shop, or whoever stands between, may do to a stream.

use super::stub::{Front, Reply, Setting, Stub, snapshot, stream};
use super::{ID, no_feeds, stream_path};
use crate::http::{Live, PATIENCE, get};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_the_shop_does_not_finish_is_never_begun() {
    let shop = Stub::start(|_| Reply::Open(stream(&snapshot(1)))).await;
    let front = Front::start(&shop.url).await;
    let mut live = Live::open(&front.url, &stream_path(ID), "").await;
    assert_eq!(live.next().await.and_then(|message| message.id), Some(1));
    shop.send(format!("{}id: 3\ndata: {{\"half", snapshot(2)).as_bytes());
    assert_eq!(live.next().await.and_then(|message| message.id), Some(2));
    shop.cut();
    assert_eq!(live.rest().await, [], "half an event was passed on");
    no_feeds(&front).await;
    front.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_stands_still_ends_the_stream() {
    let shop = Stub::start(|_| Reply::Open(stream(&format!("{}data: half", snapshot(1))))).await;
    let mut setting = Setting::default();
    setting.patience.rest_of_event = Duration::from_millis(50);
    let front = Front::with(&shop.url, setting).await;
    let mut live = Live::open(&front.url, &stream_path(ID), "").await;
    assert_eq!(live.next().await.and_then(|message| message.id), Some(1));
    // Long before silence alone would end it.
    let rest = timeout(Duration::from_secs(15), live.rest()).await;
    assert_eq!(rest.expect("the stream is ended"), []);
    shop.open_streams(0).await;
    no_feeds(&front).await;
    front.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_drips_ends_the_stream_too() {
    let shop = Stub::start(|_| Reply::Open(stream(&snapshot(1)))).await;
    let mut setting = Setting::default();
    setting.patience.rest_of_event = Duration::from_millis(300);
    let front = Front::with(&shop.url, setting).await;
    let mut live = Live::open(&front.url, &stream_path(ID), "").await;
    assert_eq!(live.next().await.and_then(|message| message.id), Some(1));
    shop.open_streams(1).await;
    let mut drops = tokio::time::interval(Duration::from_millis(20));
    let dripping = async {
        shop.send(b"data: ");
        while shop.is_open() {
            drops.tick().await;
            shop.drip(b"x");
        }
    };
    timeout(Duration::from_secs(15), dripping).await.expect("the gateway hangs up");
    assert_eq!(live.rest().await, []);
    no_feeds(&front).await;
    front.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_heartbeat_of_one_line_is_no_event_that_stands_still() {
    let shop = Stub::start(|_| Reply::Open(stream(&format!("retry: 3000\n{}", snapshot(1))))).await;
    let mut setting = Setting::default();
    setting.patience.rest_of_event = Duration::from_millis(50);
    let front = Front::with(&shop.url, setting).await;
    let mut live = Live::open(&front.url, &stream_path(ID), "").await;
    shop.open_streams(1).await;
    shop.send(b":\n: still here\n");
    // Much longer than an event may take.
    let mut quiet = tokio::time::interval(Duration::from_millis(250));
    quiet.tick().await;
    quiet.tick().await;
    shop.send(snapshot(2).as_bytes());
    let text = live.text_until("id: 2").await;
    assert!(text.contains(":\n: still here\n"), "{text:?}");
    drop(live);
    no_feeds(&front).await;
    front.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_megabytes_without_a_line_end_are_not_kept() {
    let shop = Stub::start(|_| Reply::Open(stream(&snapshot(1)))).await;
    let front = Front::start(&shop.url).await;
    let mut live = Live::open(&front.url, &stream_path(ID), "").await;
    assert_eq!(live.next().await.and_then(|message| message.id), Some(1));
    let megabyte = vec![b'x'; 1_048_576];
    shop.send(&megabyte);
    // It may hang up before all of it is there.
    for _ in 0..9 {
        shop.drip(&megabyte);
    }
    assert_eq!(live.rest().await, []);
    // The gateway hung up on the shop instead of reading on.
    shop.open_streams(0).await;
    no_feeds(&front).await;
    front.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shop_that_closes_at_once_a_thousand_times_leaves_nothing_behind() {
    let shop = Stub::start(|_| Reply::Whole(stream(""))).await;
    let front = Front::start(&shop.url).await;
    for _ in 0..1_000 {
        let mut live = Live::open(&front.url, &stream_path(ID), "").await;
        assert_eq!((live.head.status, live.rest().await), (200, vec![]));
    }
    no_feeds(&front).await;
    // Nothing connects by itself: only viewers do.
    let asked = shop.seen().len();
    assert!((1..=1_000).contains(&asked), "{asked}");
    front.close().await;
}

const VIEWERS: usize = 5_000;
const ORDERS: usize = 50;

#[tokio::test(flavor = "multi_thread")]
async fn after_a_restart_under_five_thousand_viewers_there_is_one_stream_per_order_again() {
    // Each viewer is two sockets of this process.
    let files = rlimit::increase_nofile_limit(u64::MAX).expect("more files may be opened");
    assert!(files > 2 * VIEWERS as u64 + 500, "{files} open files are too few (ulimit -Hn)");
    let replies = |_: &str| Reply::Open(stream(&snapshot(1)));
    let mut shop = Stub::start(replies).await;
    let address = shop.address();
    let front = Front::start(&shop.url).await;
    // More at the same moment than the kernel queues for a listener would wait for its repetitions.
    let turns = Arc::new(Semaphore::new(500));
    for round in 1..=2 {
        let mut opening = tokio::task::JoinSet::new();
        for viewer in 0..VIEWERS {
            let (url, turn) = (front.url.clone(), turns.clone());
            opening.spawn(async move {
                let _turn = turn.acquire_owned().await.expect("turns are given for ever");
                let mut live = Live::open(&url, &stream_path(&format!("order-{}", viewer % ORDERS)), "").await;
                assert_eq!(live.next().await.and_then(|message| message.id), Some(1));
                live
            });
        }
        let viewers = timeout(PATIENCE, opening.join_all()).await.expect("all are let in");
        shop.open_streams(ORDERS).await;
        let seen = shop.seen();
        assert_eq!(seen.len(), ORDERS, "one stream per order, round {round}");
        let orders: HashSet<&str> = seen.iter().filter_map(|request| request.split(' ').nth(1)).collect();
        assert_eq!(orders.len(), ORDERS);
        // The shop restarts: everybody is cut off, and comes back.
        shop.cut();
        for mut live in viewers {
            assert_eq!(live.rest().await, []);
        }
        no_feeds(&front).await;
        // Who comes back before the shop does is told so.
        shop.die().await;
        assert_eq!(get(&front.url, &stream_path("order-1")).await.head.status, 502);
        shop = Stub::start_at(&address, replies).await;
    }
    front.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_who_does_not_read_is_dropped_and_the_others_miss_nothing() {
    const EVENTS: i64 = 400;
    let shop = Stub::start(|_| Reply::Open(stream(&snapshot(0)))).await;
    let front = Front::start(&shop.url).await;
    let address = front.url.strip_prefix("http://").expect("a plain address");
    let mut slow = TcpStream::connect(address).await.expect("a connection");
    let request = format!("GET {} HTTP/1.1\r\nhost: partner.test\r\n\r\n", stream_path(ID));
    slow.write_all(request.as_bytes()).await.expect("the request is taken");
    shop.open_streams(1).await;
    let mut quick = Live::open(&front.url, &stream_path(ID), "").await;
    assert_eq!(quick.next().await.and_then(|message| message.id), Some(0));
    // More than the sockets hold, so that more than 64 wait for the slow one.
    let padding = "x".repeat(64 * 1_024);
    for id in 1..=EVENTS {
        shop.send(format!("id: {id}\ndata: {padding}\n\n").as_bytes());
        assert_eq!(quick.next_alone().await.and_then(|message| message.id), Some(id), "nothing is missed");
    }
    // Now he reads: what had been written for him, and then nothing more.
    let mut received = Vec::new();
    let mut piece = vec![0; 1_048_576];
    loop {
        let read = timeout(PATIENCE, slow.read(&mut piece)).await.expect("the gateway drops him");
        match read {
            Ok(0) | Err(_) => break,
            Ok(count) => received.extend_from_slice(&piece[..count]),
        }
    }
    let text = String::from_utf8_lossy(&received);
    assert!(text.contains("id: 1\n") && !text.contains(&format!("id: {EVENTS}\n")), "he was not dropped");
    assert!(!received.ends_with(b"0\r\n\r\n"), "a stream that was cut has no end");
    drop(quick);
    no_feeds(&front).await;
    front.close().await;
}
