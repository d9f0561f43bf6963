//! Who may do what: each case is a rule of its own.

use thalweg_policy::{Caller, Context, Decision, Identity, Policies, Policy, Request, decide};

const HERE: &str = "111122223333";
const THERE: &str = "444455556666";
const ORDERS: &str = "arn:aws:kinesis:eu-west-1:111122223333:stream/orders";

fn user(account: &str, name: &str) -> Caller {
    let arn = format!("arn:aws:iam::{account}:user/{name}");
    Caller { account: account.to_owned(), identity: Identity::User(arn) }
}

fn session(account: &str) -> Caller {
    Caller {
        account: account.to_owned(),
        identity: Identity::Session {
            role: format!("arn:aws:iam::{account}:role/Reader"),
            session: format!("arn:aws:sts::{account}:assumed-role/Reader/anna"),
        },
    }
}

fn root(account: &str) -> Caller {
    Caller { account: account.to_owned(), identity: Identity::Root }
}

fn service(name: &str) -> Caller {
    Caller { account: String::new(), identity: Identity::Service(name.to_owned()) }
}

fn anonymous() -> Caller {
    Caller { account: String::new(), identity: Identity::Anonymous }
}

/// A document of these statements, with `'` for `"`.
fn document(statements: &str) -> String {
    format!(r#"{{"Version": "2012-10-17", "Statement": [{}]}}"#, statements.replace('\'', "\""))
}

fn identity(statements: &str) -> Policy {
    Policy::of_identity(&document(statements)).expect("it is a policy")
}

fn resource(statements: &str) -> Policy {
    Policy::of_resource(&document(statements)).expect("it is a policy")
}

const ALL: &str = "{'Effect': 'Allow', 'Action': '*', 'Resource': '*'}";

/// Whether a user with this policy may put records into a stream, with this context.
#[track_caller]
fn check_with(statements: &str, context: &Context, expected: bool) {
    let policy = identity(statements);
    let caller = user(HERE, "anna");
    let request = Request { caller: &caller, action: "kinesis:PutRecord", resource: ORDERS, context };
    let policies = Policies { identity: &[("Test", &policy)], ..Policies::default() };
    let decision = decide(&request, &policies);
    assert_eq!(decision.is_allowed(), expected, "{statements} {context:?}: {decision:?}");
}

#[track_caller]
fn check(statements: &str, expected: bool) {
    check_with(statements, &Context::new().with("aws:username", ["anna"]), expected);
}

#[test]
fn nothing_is_allowed_that_no_statement_allows() {
    check(ALL, true);
    check("{'Effect': 'Allow', 'Action': 'kinesis:GetRecords', 'Resource': '*'}", false);
    check("{'Effect': 'Allow', 'Action': 'kinesis:putrecord', 'Resource': '*'}", true);
    check("{'Effect': 'Allow', 'Action': 'kinesis:Put*', 'Resource': '*'}", true);
    check("{'Effect': 'Allow', 'Action': 'kinesis:PutRecord?', 'Resource': '*'}", false);
    check(
        "{'Effect': 'Allow', 'Action': ['kinesis:GetRecords', 'kinesis:PutRecord'], 'Resource': '*'}",
        true,
    );
    check("{'Effect': 'Allow', 'Action': 'firehose:*', 'Resource': '*'}", false);
    check("{'Effect': 'Allow', 'NotAction': 'kinesis:GetRecords', 'Resource': '*'}", true);
    check("{'Effect': 'Allow', 'NotAction': ['iam:*', 'kinesis:Put*'], 'Resource': '*'}", false);
}

#[test]
fn resources_are_like_their_patterns() {
    let allow = |resource: &str| format!("{{'Effect': 'Allow', 'Action': '*', 'Resource': '{resource}'}}");
    for (resource, expected) in [
        (ORDERS, true),
        ("arn:aws:kinesis:*:111122223333:stream/orders", true),
        ("arn:aws:kinesis:eu-west-1:111122223333:stream/ord*", true),
        ("arn:aws:kinesis:eu-west-1:111122223333:stream/ORDERS", false),
        ("arn:aws:kinesis:eu-west-1:111122223333:stream/order", false),
        ("arn:aws:kinesis:us-east-1:111122223333:stream/orders", false),
        ("arn:aws:kinesis:*:*:stream/orders", true),
        ("arn:aws:kinesis:*:*:stream/${aws:username}", false),
    ] {
        check(&allow(resource), expected);
    }
    check(&format!("{{'Effect': 'Allow', 'Action': '*', 'NotResource': '{ORDERS}'}}"), false);
    check("{'Effect': 'Allow', 'Action': '*', 'NotResource': 'arn:aws:kinesis:*:*:stream/secret'}", true);
    let own = allow("arn:aws:kinesis:*:*:stream/${aws:username}-*");
    let policy = identity(&own);
    let caller = user(HERE, "anna");
    let context = Context::new().with("aws:username", ["anna"]);
    for (name, expected) in [("anna-1", true), ("bert-1", false), ("anna", false)] {
        let resource = format!("arn:aws:kinesis:eu-west-1:111122223333:stream/{name}");
        let request =
            Request { caller: &caller, action: "kinesis:PutRecord", resource: &resource, context: &context };
        let policies = Policies { identity: &[("Own", &policy)], ..Policies::default() };
        assert_eq!(decide(&request, &policies).is_allowed(), expected, "{name}");
    }
}

#[test]
fn a_denial_counts_before_everything() {
    check(&format!("{ALL}, {{'Effect': 'Deny', 'Action': 'kinesis:Put*', 'Resource': '*'}}"), false);
    check(&format!("{{'Effect': 'Deny', 'Action': 'kinesis:Put*', 'Resource': '*'}}, {ALL}"), false);
    check(&format!("{ALL}, {{'Effect': 'Deny', 'Action': 'kinesis:Get*', 'Resource': '*'}}"), true);
    check(&format!("{ALL}, {{'Effect': 'Deny', 'NotAction': 'kinesis:Put*', 'Resource': '*'}}"), true);
    check(&format!("{ALL}, {{'Effect': 'Deny', 'Action': '*', 'NotResource': '{ORDERS}'}}"), true);
}

/// Whether a condition holds where `key` has these values.
#[track_caller]
fn check_condition(condition: &str, key: Option<&[&str]>, expected: bool) {
    let statement =
        format!("{{'Effect': 'Allow', 'Action': '*', 'Resource': '*', 'Condition': {{{condition}}}}}");
    let mut context = Context::new().with("aws:username", ["anna"]);
    if let Some(values) = key {
        context.set("aws:Test", values.iter().copied());
    }
    check_with(&statement, &context, expected);
}

#[test]
fn conditions_compare_texts() {
    for (condition, value, expected) in [
        ("'StringEquals': {'aws:test': 'a'}", "a", true),
        ("'StringEquals': {'aws:test': ['b', 'a']}", "a", true),
        ("'StringEquals': {'aws:test': 'A'}", "a", false),
        ("'StringEquals': {'aws:test': 'a*'}", "ab", false),
        ("'StringEquals': {'aws:test': '${aws:username}'}", "anna", true),
        ("'StringNotEquals': {'aws:test': 'a'}", "b", true),
        ("'StringNotEquals': {'aws:test': ['a', 'b']}", "b", false),
        ("'StringEqualsIgnoreCase': {'aws:test': 'A'}", "a", true),
        ("'StringNotEqualsIgnoreCase': {'aws:test': 'A'}", "a", false),
        ("'StringLike': {'aws:test': 'a*c?'}", "abcd", true),
        ("'StringLike': {'aws:test': 'a*c?'}", "abc", false),
        ("'StringNotLike': {'aws:test': 'a*'}", "abc", false),
        ("'StringNotLike': {'aws:test': 'a*'}", "bc", true),
    ] {
        check_condition(condition, Some(&[value]), expected);
    }
}

#[test]
fn conditions_compare_numbers_times_and_the_rest() {
    for (condition, value, expected) in [
        ("'NumericEquals': {'aws:test': '8'}", "8.0", true),
        ("'NumericEquals': {'aws:test': 8}", "9", false),
        ("'NumericNotEquals': {'aws:test': '8'}", "9", true),
        ("'NumericLessThan': {'aws:test': '8'}", "8", false),
        ("'NumericLessThanEquals': {'aws:test': '8'}", "8", true),
        ("'NumericGreaterThan': {'aws:test': '8'}", "10", true),
        ("'NumericGreaterThanEquals': {'aws:test': '8'}", "7", false),
        ("'NumericLessThan': {'aws:test': '8'}", "many", false),
        ("'DateLessThan': {'aws:test': '2026-12-01T00:00:00Z'}", "2026-11-30T23:59:59Z", true),
        ("'DateLessThan': {'aws:test': '2026-12-01'}", "2026-12-01T00:00:00Z", false),
        ("'DateGreaterThanEquals': {'aws:test': '1700000000'}", "2023-11-14T22:13:20Z", true),
        ("'DateEquals': {'aws:test': '2026-12-01T01:00:00+01:00'}", "2026-12-01T00:00:00Z", true),
        ("'DateNotEquals': {'aws:test': '2026-12-01'}", "2026-12-01T00:00:00Z", false),
        ("'Bool': {'aws:test': 'true'}", "True", true),
        ("'Bool': {'aws:test': true}", "false", false),
        ("'BinaryEquals': {'aws:test': 'AQID'}", "AQID", true),
        ("'BinaryEquals': {'aws:test': 'AQID'}", "AQIE", false),
        ("'IpAddress': {'aws:test': '203.0.113.0/24'}", "203.0.113.9", true),
        ("'IpAddress': {'aws:test': '203.0.113.0/24'}", "203.0.114.9", false),
        ("'IpAddress': {'aws:test': '203.0.113.9'}", "203.0.113.9", true),
        ("'IpAddress': {'aws:test': '203.0.113.0/24'}", "::ffff:203.0.113.9", true),
        ("'IpAddress': {'aws:test': '2001:db8::/32'}", "2001:db8:1::1", true),
        ("'IpAddress': {'aws:test': '2001:db8::/32'}", "203.0.113.9", false),
        ("'IpAddress': {'aws:test': '0.0.0.0/0'}", "203.0.113.9", true),
        ("'NotIpAddress': {'aws:test': ['10.0.0.0/8', '203.0.113.0/24']}", "10.1.2.3", false),
        ("'NotIpAddress': {'aws:test': '10.0.0.0/8'}", "203.0.113.9", true),
        ("'ArnLike': {'aws:test': 'arn:aws:s3:::logs-*'}", "arn:aws:s3:::logs-1", true),
        ("'ArnEquals': {'aws:test': 'arn:aws:*:*:*:stream/*'}", ORDERS, true),
        ("'ArnLike': {'aws:test': 'arn:aws:kinesis:*:*:strea?/*'}", ORDERS, true),
        ("'ArnLike': {'aws:test': 'arn:aws:kinesis:*:111122223333:stream:*'}", ORDERS, false),
        ("'ArnLike': {'aws:test': '*'}", "anything", true),
        ("'ArnNotLike': {'aws:test': 'arn:aws:s3:::*'}", ORDERS, true),
        ("'ArnNotEquals': {'aws:test': 'arn:*:kinesis:*:*:stream/orders'}", ORDERS, false),
    ] {
        check_condition(condition, Some(&[value]), expected);
    }
}

#[test]
fn a_key_that_is_not_there_equals_nothing() {
    for (condition, expected) in [
        ("'StringEquals': {'aws:test': 'a'}", false),
        ("'StringNotEquals': {'aws:test': 'a'}", true),
        ("'NumericLessThan': {'aws:test': '8'}", false),
        ("'NumericNotEquals': {'aws:test': '8'}", true),
        ("'Bool': {'aws:test': 'false'}", false),
        ("'NotIpAddress': {'aws:test': '10.0.0.0/8'}", true),
        ("'StringEqualsIfExists': {'aws:test': 'a'}", true),
        ("'BoolIfExists': {'aws:test': 'true'}", true),
        ("'Null': {'aws:test': 'true'}", true),
        ("'Null': {'aws:test': 'false'}", false),
        ("'ForAllValues:StringEquals': {'aws:test': 'a'}", true),
        ("'ForAnyValue:StringEquals': {'aws:test': 'a'}", false),
        ("'ForAnyValue:StringEqualsIfExists': {'aws:test': 'a'}", true),
    ] {
        check_condition(condition, None, expected);
    }
    check_condition("'StringEqualsIfExists': {'aws:test': 'a'}", Some(&["b"]), false);
    check_condition("'Null': {'aws:test': 'false'}", Some(&["b"]), true);
    check_condition("'Null': {'aws:test': 'true'}", Some(&[]), true);
}

#[test]
fn all_conditions_must_hold() {
    for (condition, expected) in [
        ("'StringLike': {'aws:test': 'a*'}, 'StringNotLike': {'aws:test': '*z'}", true),
        ("'StringLike': {'aws:test': 'a*'}, 'StringNotLike': {'aws:test': '*b'}", false),
        ("'StringLike': {'aws:test': 'a*', 'aws:username': 'anna'}", true),
        ("'StringLike': {'aws:test': 'a*', 'aws:username': 'bert'}", false),
        ("'StringEquals': {'AWS:TEST': 'ab'}", true),
    ] {
        check_condition(condition, Some(&["ab"]), expected);
    }
}

#[test]
fn keys_with_several_values_are_asked_for_all_or_any() {
    for (condition, values, expected) in [
        ("'ForAllValues:StringEquals': {'aws:test': ['a', 'b']}", &["a", "b"][..], true),
        ("'ForAllValues:StringEquals': {'aws:test': ['a', 'b']}", &["a", "c"], false),
        ("'ForAnyValue:StringEquals': {'aws:test': ['a', 'b']}", &["c", "b"], true),
        ("'ForAnyValue:StringEquals': {'aws:test': ['a', 'b']}", &["c", "d"], false),
        ("'ForAllValues:StringNotEquals': {'aws:test': 'a'}", &["b", "c"], true),
        ("'ForAllValues:StringNotEquals': {'aws:test': 'a'}", &["b", "a"], false),
        ("'ForAnyValue:StringNotEquals': {'aws:test': 'a'}", &["b", "a"], true),
        ("'ForAnyValue:StringNotEquals': {'aws:test': 'a'}", &["a"], false),
        ("'ForAllValues:NumericLessThan': {'aws:test': '3'}", &["1", "2"], true),
    ] {
        check_condition(condition, Some(values), expected);
    }
}

/// Whether this caller may read the stream, whose policy and whose own policies are these.
#[track_caller]
fn check_both(caller: &Caller, own: Option<&str>, of_stream: &str, expected: bool) {
    let own = own.map(identity);
    let own: Vec<(&str, &Policy)> = own.iter().map(|policy| ("Own", policy)).collect();
    let of_stream = resource(of_stream);
    let context = Context::new();
    let request = Request { caller, action: "kinesis:GetRecords", resource: ORDERS, context: &context };
    let policies =
        Policies { identity: &own, resource: Some(&of_stream), owner: HERE, ..Policies::default() };
    let decision = decide(&request, &policies);
    assert_eq!(decision.is_allowed(), expected, "{caller:?}: {decision:?}");
}

fn allow_to(principal: &str) -> String {
    format!(
        "{{'Effect': 'Allow', 'Principal': {principal}, 'Action': 'kinesis:Get*', 'Resource': '{ORDERS}'}}"
    )
}

#[test]
fn within_an_account_either_policy_allows() {
    let anna = user(HERE, "anna");
    check_both(&anna, None, &allow_to("{'AWS': 'arn:aws:iam::111122223333:user/anna'}"), true);
    check_both(&anna, None, &allow_to("{'AWS': 'arn:aws:iam::111122223333:user/bert'}"), false);
    check_both(&anna, None, &allow_to("'*'"), true);
    check_both(&anna, None, &allow_to("{'AWS': '*'}"), true);
    check_both(&anna, Some(ALL), &allow_to("{'AWS': 'arn:aws:iam::111122223333:user/bert'}"), true);
    // The account may; whom of it, its own policies say.
    check_both(&anna, None, &allow_to("{'AWS': '111122223333'}"), false);
    check_both(&anna, None, &allow_to("{'AWS': 'arn:aws:iam::111122223333:root'}"), false);
    check_both(&root(HERE), None, &allow_to("{'AWS': '444455556666'}"), true);
    check_both(&session(HERE), None, &allow_to("{'AWS': 'arn:aws:iam::111122223333:role/Reader'}"), true);
    check_both(
        &session(HERE),
        None,
        &allow_to("{'AWS': 'arn:aws:sts::111122223333:assumed-role/Reader/anna'}"),
        true,
    );
    check_both(
        &session(HERE),
        None,
        &allow_to("{'AWS': 'arn:aws:sts::111122223333:assumed-role/Reader/bert'}"),
        false,
    );
}

#[test]
fn between_accounts_both_policies_allow() {
    let carl = user(THERE, "carl");
    let to_carl = allow_to("{'AWS': 'arn:aws:iam::444455556666:user/carl'}");
    check_both(&carl, Some(ALL), &to_carl, true);
    check_both(&carl, None, &to_carl, false);
    check_both(&carl, Some(ALL), &allow_to("{'AWS': '444455556666'}"), true);
    check_both(&carl, Some(ALL), &allow_to("{'AWS': ['arn:aws:iam::444455556666:root']}"), true);
    check_both(&carl, Some(ALL), &allow_to("{'AWS': '111122223333'}"), false);
    check_both(&carl, Some(ALL), &allow_to("'*'"), true);
    check_both(&carl, None, &allow_to("'*'"), false);
    check_both(&root(THERE), None, &allow_to("{'AWS': '444455556666'}"), true);
    check_both(&root(THERE), None, &allow_to("{'AWS': '111122223333'}"), false);
}

#[test]
fn services_and_strangers_are_allowed_by_the_resource_alone() {
    check_both(
        &service("firehose.amazonaws.com"),
        None,
        &allow_to("{'Service': 'firehose.amazonaws.com'}"),
        true,
    );
    check_both(
        &service("lambda.amazonaws.com"),
        None,
        &allow_to("{'Service': 'firehose.amazonaws.com'}"),
        false,
    );
    check_both(&anonymous(), None, &allow_to("'*'"), true);
    check_both(&anonymous(), None, &allow_to("{'AWS': '111122223333'}"), false);
    check_both(
        &user(HERE, "anna"),
        None,
        &allow_to("{'Federated': 'cognito-identity.amazonaws.com'}"),
        false,
    );
}

#[test]
fn a_resource_denies_whomever_it_means() {
    let deny = |principal: &str| format!("{{'Effect': 'Deny', {principal}, 'Action': '*', 'Resource': '*'}}");
    let anna = user(HERE, "anna");
    check_both(&anna, Some(ALL), &deny("'Principal': '*'"), false);
    check_both(&anna, Some(ALL), &deny("'Principal': {'AWS': '111122223333'}"), false);
    check_both(&anna, Some(ALL), &deny("'Principal': {'AWS': '444455556666'}"), true);
    check_both(
        &anna,
        Some(ALL),
        &deny("'NotPrincipal': {'AWS': 'arn:aws:iam::111122223333:user/anna'}"),
        true,
    );
    check_both(
        &anna,
        Some(ALL),
        &deny("'NotPrincipal': {'AWS': 'arn:aws:iam::111122223333:user/bert'}"),
        false,
    );
    check_both(&root(HERE), None, &deny("'Principal': '*'"), false);
}

#[test]
fn boundaries_and_session_policies_only_take_away() {
    let (all, get, put) = (
        identity(ALL),
        identity("{'Effect': 'Allow', 'Action': 'kinesis:Get*', 'Resource': '*'}"),
        identity("{'Effect': 'Allow', 'Action': 'kinesis:Put*', 'Resource': '*'}"),
    );
    let of_stream = resource(&allow_to("'*'"));
    let caller = session(HERE);
    let context = Context::new();
    let check = |identity: &[(&str, &Policy)],
                 boundary: &[(&str, &Policy)],
                 session: &[(&str, &Policy)],
                 of_stream: Option<&Policy>,
                 expected: bool| {
        let request =
            Request { caller: &caller, action: "kinesis:GetRecords", resource: ORDERS, context: &context };
        let policies = Policies { identity, boundary, session, resource: of_stream, owner: HERE };
        let decision = decide(&request, &policies);
        assert_eq!(decision.is_allowed(), expected, "{decision:?}");
    };
    check(&[("all", &all)], &[], &[], None, true);
    check(&[("all", &all)], &[("get", &get)], &[], None, true);
    check(&[("all", &all)], &[("put", &put)], &[], None, false);
    check(&[("all", &all)], &[], &[("put", &put)], None, false);
    check(&[("all", &all)], &[], &[("put", &put), ("get", &get)], None, true);
    check(&[("all", &all)], &[("get", &get)], &[("put", &put)], None, false);
    check(&[("put", &put)], &[("get", &get)], &[("get", &get)], None, false);
    check(&[], &[("put", &put)], &[], Some(&of_stream), false);
    check(&[], &[("get", &get)], &[], Some(&of_stream), true);
}

#[test]
fn a_denial_names_who_what_and_why() {
    let caller = user(HERE, "anna");
    let context = Context::new();
    let request =
        Request { caller: &caller, action: "kinesis:PutRecord", resource: ORDERS, context: &context };
    let denied = decide(&request, &Policies::default());
    assert_eq!(
        denied.denial(&request).expect("it is denied"),
        "User: arn:aws:iam::111122223333:user/anna is not authorized to perform: kinesis:PutRecord on resource: \
         arn:aws:kinesis:eu-west-1:111122223333:stream/orders because no identity-based policy allows the \
         kinesis:PutRecord action"
    );
    let policy = identity("{'Sid': 'NoPuts', 'Effect': 'Deny', 'Action': 'kinesis:Put*', 'Resource': '*'}");
    let policies = Policies { identity: &[("Own", &policy)], ..Policies::default() };
    let denied = decide(&request, &policies);
    assert!(
        denied
            .denial(&request)
            .expect("it is denied")
            .ends_with("with an explicit deny in an identity-based policy")
    );
    let Decision::Forbidden(applied) = denied else { panic!("it is forbidden") };
    assert_eq!((applied.policy.as_str(), applied.statement.as_str()), ("Own", "NoPuts"));
}

#[test]
fn what_is_no_policy_is_refused() {
    for (text, why) in [
        ("", "no JSON"),
        ("[]", "a policy document is an object"),
        ("{}", "Statement"),
        ("{'Version': '2013-01-01', 'Statement': []}", "Version"),
        ("{'Statement': []}", "Statement"),
        ("{'Statement': {'Effect': 'Allow'}, 'Comment': ''}", "has no Comment"),
        ("{'Statement': {'Action': '*', 'Resource': '*'}}", "Effect"),
        ("{'Statement': {'Effect': 'allow', 'Action': '*', 'Resource': '*'}}", "Effect"),
        ("{'Statement': {'Effect': 'Allow', 'Resource': '*'}}", "no Action"),
        ("{'Statement': {'Effect': 'Allow', 'Action': '*'}}", "no Resource"),
        ("{'Statement': {'Effect': 'Allow', 'Action': 'PutRecord', 'Resource': '*'}}", "no action"),
        ("{'Statement': {'Effect': 'Allow', 'Action': 'kin*:PutRecord', 'Resource': '*'}}", "no action"),
        ("{'Statement': {'Effect': 'Allow', 'Action': '*', 'Resource': 'orders'}}", "no ARN"),
        ("{'Statement': {'Effect': 'Allow', 'Action': '*', 'NotAction': '*', 'Resource': '*'}}", "both"),
        (
            "{'Statement': {'Effect': 'Allow', 'Action': '*', 'Resource': '*', 'Principal': '*'}}",
            "no Principal",
        ),
        ("{'Statement': {'Effect': 'Allow', 'Action': [], 'Resource': '*'}}", "Action is a text"),
        ("{'Statement': {'Sid': 'a b', 'Effect': 'Allow', 'Action': '*', 'Resource': '*'}}", "Sid"),
        (
            "{'Statement': {'Effect': 'Allow', 'Action': '*', 'Resource': '*', 'Condition': {'StringIs': {'a': 'b'}}}}",
            "no condition operator StringIs",
        ),
        (
            "{'Statement': {'Effect': 'Allow', 'Action': '*', 'Resource': '*', 'Condition': {'Bool': {'a': 'maybe'}}}}",
            "does not take \"maybe\"",
        ),
        (
            "{'Statement': {'Effect': 'Allow', 'Action': '*', 'Resource': '*', 'Condition': {'IpAddress': {'a': '1.2.3.0/33'}}}}",
            "does not take",
        ),
        (
            "{'Statement': {'Effect': 'Allow', 'Action': '*', 'Resource': '*', 'Condition': {'ArnLike': {'a': 'arn:aws:s3:*'}}}}",
            "does not take",
        ),
        (
            "{'Statement': [{'Effect': 'Allow', 'Action': '*', 'Resource': '*'}, {'Effect': 'Deny'}]}",
            "statement 2",
        ),
    ] {
        let malformed = Policy::of_identity(&text.replace('\'', "\"")).expect_err(text).to_string();
        assert!(malformed.contains(why), "{text}: {malformed}");
    }
    for (principal, is_one) in [
        ("'*'", true),
        ("{'AWS': '111122223333'}", true),
        ("{'AWS': ['arn:aws:iam::111122223333:root', '*']}", true),
        ("{'Service': 'firehose.amazonaws.com'}", true),
        ("'anna'", false),
        ("{'AWS': 'anna'}", false),
        ("{'AWS': 'arn:aws:iam::111122223333:user/*'}", false),
        ("{'AWS': 'arn:aws:s3:::bucket'}", false),
        ("{'Who': '*'}", false),
    ] {
        let text = document(&allow_to(principal));
        assert_eq!(Policy::of_resource(&text).is_ok(), is_one, "{principal}");
    }
    let trust = "{'Effect': 'Allow', 'Principal': '*', 'Action': 'sts:AssumeRole'}";
    assert!(Policy::of_trust(&document(trust)).is_ok());
    assert!(Policy::of_resource(&document(trust)).is_err(), "a resource's policy names resources");
    assert!(Policy::of_trust(&document(&allow_to("'*'"))).is_err(), "a trust policy names none");
    assert!(Policy::of_resource(&document(ALL)).is_err(), "a resource's policy names principals");
}
