//! Registered consumers: names, ARNs, tags, policies, pages.

use std::collections::BTreeMap;
use std::time::Duration;

use thalweg_api::kinesis::Kinesis;
use thalweg_model::kinesis::*;
use thalweg_types::Timestamp;

use crate::world::*;

fn list(stream: &str) -> ListStreamConsumersInput {
    ListStreamConsumersInput { stream_arn: arn(stream), ..ListStreamConsumersInput::default() }
}

#[tokio::test]
async fn a_consumer_is_creating_in_its_answer_and_active_at_once() {
    let world = World::new().await;
    world.create("s", 1).await;
    let consumer = world.register("s", "c").await.expect("it can be registered");
    let consumer_arn = format!("{}/consumer/c:{START}", arn("s"));
    assert_eq!(
        consumer,
        Consumer {
            consumer_arn: consumer_arn.clone(),
            consumer_creation_timestamp: Timestamp::from_seconds(START),
            consumer_name: "c".to_owned(),
            consumer_status: ConsumerStatus::Creating,
        }
    );
    let world = world.restart().await;
    let described = ConsumerDescription {
        consumer_arn: consumer_arn.clone(),
        consumer_creation_timestamp: Timestamp::from_seconds(START),
        consumer_name: "c".to_owned(),
        consumer_status: ConsumerStatus::Active,
        stream_arn: arn("s"),
    };
    let by_name = DescribeStreamConsumerInput {
        stream_arn: Some(arn("s")),
        consumer_name: Some("c".to_owned()),
        ..DescribeStreamConsumerInput::default()
    };
    let by_both = DescribeStreamConsumerInput { consumer_arn: Some(consumer_arn.clone()), ..by_name.clone() };
    for input in [by_name, by_both] {
        let found = world.streams.describe_stream_consumer(&call(), input).await.expect("it exists");
        assert_eq!(found.consumer_description, described);
    }
    assert_eq!(world.describe_consumer(&consumer_arn).await, Ok(described));
    assert_eq!(world.summary("s").await.expect("it exists").consumer_count, Some(1));
}

#[tokio::test]
async fn names_are_unique_and_arns_never_come_back() {
    let world = World::new().await;
    world.create("s", 1).await;
    let first = world.register("s", "c").await.expect("it can be registered");
    assert_failure(
        world.register("s", "c").await,
        "ResourceInUseException",
        "Consumer c under stream s already exists for account 123456789012.",
    );
    world.deregister(&first.consumer_arn).await.expect("it can be deregistered");
    let second = world.register("s", "c").await.expect("the name is free");
    assert_ne!(first.consumer_arn, second.consumer_arn, "though no time passed");
    let failure = world.describe_consumer(&first.consumer_arn).await.expect_err("it is gone");
    assert_eq!(failure.code, "ResourceNotFoundException");
    let failure = world.deregister(&first.consumer_arn).await.expect_err("it is gone");
    assert_eq!(failure.code, "ResourceNotFoundException");
}

/// A consumer goes, with its stream or before it, and one of its name is registered in the same second with a stream of the
/// same name. Between them is a restart, and the clock is set back; maybe the stream's name was forgotten.
async fn check_arn_after_recreation(deregistered: bool, forgotten: bool) {
    let world = World::new().await;
    world.create("s", 1).await;
    let registering = Timestamp::from_seconds(START + 100);
    world.clock.advance(Duration::from_secs(100));
    let first = world.register("s", "c").await.expect("it can be registered").consumer_arn;
    if deregistered {
        world.deregister(&first).await.expect("it can be deregistered");
    }
    delete_with_consumers(&world, "s").await;
    if forgotten {
        world.clock.advance(hours(26));
        world.streams.sweep().await;
    }
    world.clock.set_wall(Timestamp::from_seconds(START));
    let world = world.restart().await;
    world.create("s", 1).await;
    world.clock.set_wall(registering);
    let second = world.register("s", "c").await.expect("the name is free").consumer_arn;
    assert_ne!(first, second, "deregistered: {deregistered}, forgotten: {forgotten}");
    let failure = world.describe_consumer(&first).await.expect_err("it is gone");
    assert_eq!(failure.code, "ResourceNotFoundException");
}

async fn delete_with_consumers(world: &World, stream: &str) {
    let input = DeleteStreamInput {
        stream_name: Some(stream.to_owned()),
        enforce_consumer_deletion: Some(true),
        ..DeleteStreamInput::default()
    };
    world.streams.delete_stream(&call(), input).await.expect("it can be deleted");
}

#[tokio::test]
async fn arns_of_consumers_do_not_come_back_when_a_stream_is_made_again() {
    for deregistered in [false, true] {
        for forgotten in [false, true] {
            check_arn_after_recreation(deregistered, forgotten).await;
        }
    }
}

#[tokio::test]
async fn arns_of_consumers_do_not_come_back_when_all_of_it_takes_less_than_a_second() {
    let world = World::new().await;
    world.create("s", 1).await;
    let first = world.register("s", "c").await.expect("it can be registered").consumer_arn;
    delete_with_consumers(&world, "s").await;
    world.create("s", 1).await;
    world.clock.advance(Duration::from_millis(300));
    let second = world.register("s", "c").await.expect("the name is free").consumer_arn;
    assert_ne!(first, second);
}

#[tokio::test]
async fn consumers_are_listed_by_name_in_pages() {
    let world = World::new().await;
    world.create("s", 1).await;
    world.create("t", 1).await;
    for name in ["c", "a", "b"] {
        world.register("s", name).await.expect("it can be registered");
    }
    let names = |output: &ListStreamConsumersOutput| {
        let consumers = output.consumers.as_ref().expect("always there");
        consumers.iter().map(|consumer| consumer.consumer_name.as_str()).collect::<Vec<_>>().join("")
    };
    let first = ListStreamConsumersInput { max_results: Some(2), ..list("s") };
    let first = world.streams.list_stream_consumers(&call(), first).await.expect("they can be listed");
    assert_eq!(names(&first), "ab");
    let next =
        |stream: &str| ListStreamConsumersInput { next_token: first.next_token.clone(), ..list(stream) };
    let second = world.streams.list_stream_consumers(&call(), next("s")).await.expect("a page follows");
    assert_eq!((names(&second).as_str(), &second.next_token), ("c", &None));
    assert_failure(
        world.streams.list_stream_consumers(&call(), next("t")).await,
        "InvalidArgumentException",
        "Invalid NextToken.",
    );
    world.clock.advance(Duration::from_millis(300_001));
    let failure = world.streams.list_stream_consumers(&call(), next("s")).await.expect_err("too late");
    assert_eq!(failure.code, "ExpiredNextTokenException");
    let other =
        ListStreamConsumersInput { stream_creation_timestamp: Some(Timestamp::from_seconds(1)), ..list("s") };
    let failure = world.streams.list_stream_consumers(&call(), other).await.expect_err("another stream");
    assert_eq!(failure.code, "ResourceNotFoundException");
}

#[tokio::test]
async fn consumers_have_tags_and_policies_of_their_own() {
    let world = World::new().await;
    world.create("s", 1).await;
    let input = RegisterStreamConsumerInput {
        stream_arn: arn("s"),
        consumer_name: "c".to_owned(),
        tags: Some(BTreeMap::from([("a".to_owned(), "1".to_owned())])),
        stream_id: None,
    };
    let consumer = world.streams.register_stream_consumer(&call(), input).await.expect("registered").consumer;
    let consumer_arn = consumer.consumer_arn;
    let input = TagResourceInput {
        resource_arn: consumer_arn.clone(),
        tags: BTreeMap::from([("b".to_owned(), "2".to_owned())]),
        stream_id: None,
    };
    world.streams.tag_resource(&call(), input).await.expect("it can be tagged");
    let input = UntagResourceInput {
        resource_arn: consumer_arn.clone(),
        tag_keys: vec!["a".to_owned()],
        stream_id: None,
    };
    world.streams.untag_resource(&call(), input).await.expect("it can be untagged");
    let world = world.restart().await;
    let tags_of = async |resource_arn: String| {
        let input = ListTagsForResourceInput { resource_arn, stream_id: None };
        let output = world.streams.list_tags_for_resource(&call(), input).await.expect("it exists");
        output.tags.expect("always there").into_iter().map(|tag| tag.key).collect::<Vec<_>>()
    };
    assert_eq!(tags_of(consumer_arn.clone()).await, ["b"]);
    assert_eq!(tags_of(arn("s")).await, Vec::<String>::new());

    let put = PutResourcePolicyInput {
        policy: "{\"Version\":\"2012-10-17\"}".to_owned(),
        resource_arn: consumer_arn.clone(),
        stream_id: None,
    };
    world.streams.put_resource_policy(&call(), put).await.expect("a policy can be put");
    let policy_of = async |resource_arn: String| {
        let input = GetResourcePolicyInput { resource_arn, stream_id: None };
        world.streams.get_resource_policy(&call(), input).await.expect("it exists").policy
    };
    assert_eq!(policy_of(consumer_arn.clone()).await, "{\"Version\":\"2012-10-17\"}");
    assert_eq!(policy_of(arn("s")).await, "{}");
    world.deregister(&consumer_arn).await.expect("it can be deregistered");
    let again = world.register("s", "c").await.expect("the name is free");
    assert_eq!(policy_of(again.consumer_arn).await, "{}", "the policy went with the consumer");
}
