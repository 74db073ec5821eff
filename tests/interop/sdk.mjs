// AWS's SDK for JavaScript as it comes, led by the environment alone: a zone, a key, a KSK, DNSSEC, records and pages.
import { createRequire } from "node:module";

const from = createRequire(`${process.argv[2]}/`);
const route53 = from("@aws-sdk/client-route-53");
const kms = from("@aws-sdk/client-kms");
const sts = from("@aws-sdk/client-sts");

const dns = new route53.Route53Client({});
const keys = new kms.KMSClient({});
const who = await new sts.STSClient({}).send(new sts.GetCallerIdentityCommand({}));

async function insync(answer) {
  const Id = answer.ChangeInfo.Id;
  for (;;) {
    const found = await dns.send(new route53.GetChangeCommand({ Id }));
    if (found.ChangeInfo.Status === "INSYNC") return;
    await new Promise((done) => setTimeout(done, 10));
  }
}

const made = await dns.send(new route53.CreateHostedZoneCommand({ Name: "js.test", CallerReference: "js" }));
const HostedZoneId = made.HostedZone.Id.replace("/hostedzone/", "");
const Policy = process.argv[3];
const key = await keys.send(new kms.CreateKeyCommand({ KeySpec: "ECC_NIST_P256", KeyUsage: "SIGN_VERIFY", Policy }));
await insync(
  await dns.send(
    new route53.CreateKeySigningKeyCommand({
      CallerReference: "js",
      HostedZoneId,
      KeyManagementServiceArn: key.KeyMetadata.Arn,
      Name: "js_ksk",
      Status: "ACTIVE",
    }),
  ),
);
await insync(await dns.send(new route53.EnableHostedZoneDNSSECCommand({ HostedZoneId })));
const Changes = Array.from({ length: 150 }, (_, number) => ({
  Action: "CREATE",
  ResourceRecordSet: {
    Name: `h${number}.js.test`,
    Type: "TXT",
    TTL: 60,
    ResourceRecords: [{ Value: `"<${number}> & \\"more\\""` }],
  },
}));
await insync(await dns.send(new route53.ChangeResourceRecordSetsCommand({ HostedZoneId, ChangeBatch: { Changes } })));

let pages = 0;
const values = [];
for (let start = {}; start; pages += 1) {
  const page = await dns.send(new route53.ListResourceRecordSetsCommand({ HostedZoneId, MaxItems: 100, ...start }));
  for (const set of page.ResourceRecordSets) if (set.Type === "TXT") values.push(set.ResourceRecords[0].Value);
  start = page.IsTruncated && { StartRecordName: page.NextRecordName, StartRecordType: page.NextRecordType };
}
const dnssec = await dns.send(new route53.GetDNSSECCommand({ HostedZoneId }));
let missing = "";
try {
  await dns.send(new route53.GetHostedZoneCommand({ Id: "Z0" }));
} catch (error) {
  missing = error.name;
}
console.log(
  JSON.stringify({
    arn: who.Arn,
    pages,
    values: values.sort(),
    status: dnssec.Status.ServeSignature,
    ksk: dnssec.KeySigningKeys[0].Status,
    missing,
  }),
);
