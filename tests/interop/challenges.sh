#!/bin/sh
# Adds or removes a TXT challenge by the Route 53 API as ACME clients in shell do it: curl, openssl, sed, and answers read as
# text. challenges.sh add|remove ENDPOINT NAME VALUE, with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment.
set -eu
action=$1 endpoint=$2 name=$3 value=$4
host=${endpoint#*://}

hex() { od -An -v -tx1 | tr -d ' \n'; }
digest() { printf %s "$1" | openssl dgst -sha256 -binary | hex; }
# hmac KEY_IN_HEX TEXT
hmac() { printf %s "$2" | openssl dgst -sha256 -mac HMAC -macopt "hexkey:$1" -binary | hex; }

# rest METHOD PATH QUERY BODY: the answer as text, without its line ends
rest() {
    stamp=$(date -u +%Y%m%dT%H%M%SZ)
    day=${stamp%T*}
    canonical=$(printf '%s\n%s\n%s\nhost:%s\nx-amz-date:%s\n\nhost;x-amz-date\n%s' \
        "$1" "$2" "$3" "$host" "$stamp" "$(digest "$4")")
    scope=$day/us-east-1/route53/aws4_request
    text=$(printf 'AWS4-HMAC-SHA256\n%s\n%s\n%s' "$stamp" "$scope" "$(digest "$canonical")")
    key=$(printf 'AWS4%s' "$AWS_SECRET_ACCESS_KEY" | hex)
    for part in "$day" us-east-1 route53 aws4_request; do key=$(hmac "$key" "$part"); done
    credential="AWS4-HMAC-SHA256 Credential=$AWS_ACCESS_KEY_ID/$scope, SignedHeaders=host;x-amz-date"
    set -- "$1" "$2" "$3" "$4" -sS -X "$1" -H "x-amz-date: $stamp" \
        -H "Authorization: $credential, Signature=$(hmac "$key" "$text")"
    [ -z "$4" ] || set -- "$@" --data-binary "$4"
    path=$2${3:+?$3} body=$4
    shift 4
    curl "$@" "$endpoint$path" | tr -d '\n'
}

# The hosted zone: the longest end of the name that is the name of one.
zones=$(rest GET /2013-04-01/hostedzone '' '')
zone=
rest_of_name=$name
while [ -z "$zone" ]; do
    rest_of_name=${rest_of_name#*.}
    zone=$(printf %s "$zones" | sed 's/<HostedZone>/#&/g' | tr '#' '\n' |
        grep "<Name>$rest_of_name\.</Name>" | grep '<PrivateZone>false</PrivateZone>' |
        sed 's/.*<Id>\([^<]*\)<.Id>.*/\1/' | head -n 1)
    case $rest_of_name in *.*) ;; *) [ "$zone" ] || { echo "no zone of $name" >&2; exit 1; } ;; esac
done

# What is there already: quotes end a piece, as `tr` makes lines of them, so that the answer must not have any.
kept=$(rest GET "/2013-04-01$zone/rrset" "name=$name&type=TXT" '' |
    sed 's/<ResourceRecordSet>/"/g' | tr '"' '\n' | grep "<Name>$name\.</Name>" |
    grep -o '<ResourceRecords.*</ResourceRecords>' | sed 's/<ResourceRecords>//; s/<.ResourceRecords>//') || kept=
mine="<ResourceRecord><Value>\"$value\"</Value></ResourceRecord>"
case $action in
    add) verb=UPSERT records=$kept$mine ;;
    remove) verb=DELETE records=$kept ;;
esac
answer=$(rest POST "/2013-04-01$zone/rrset/" '' "<ChangeResourceRecordSetsRequest \
xmlns=\"https://route53.amazonaws.com/doc/2013-04-01/\"><ChangeBatch><Changes><Change><Action>$verb</Action>\
<ResourceRecordSet><Name>$name</Name><Type>TXT</Type><TTL>300</TTL><ResourceRecords>$records</ResourceRecords>\
</ResourceRecordSet></Change></Changes></ChangeBatch></ChangeResourceRecordSetsRequest>")
case $answer in
    *ChangeResourceRecordSetsResponse*) ;;
    *) printf '%s\n' "$answer" >&2; exit 1 ;;
esac
