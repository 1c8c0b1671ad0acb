/** Commands for callers who may read nothing or some namespaces: their output never claims that nothing exists. */
import t from "tap";
import { file } from "../../operate/employment.js";
import { metricText, policyText, RULES_GATEWAY, serviceText } from "../../operate/guarded.js";
import { mutualApi } from "../../operate/mutualApi.js";
import { binding } from "../../operate/operatorBinding.js";
import { fileOf, temporaryDirectory } from "../command.js";
import { operatorCommand, run } from "../operatorCommand.js";

t.setTimeout(120_000);
const now = { dryRun: false };
const READS: readonly (readonly string[])[] = [
	["requests"],
	["history"],
	["policy", "shadow"],
	["status"],
	["get"],
	["get", "-o", "json"],
	["diff"],
	["decisions", "boosted"],
];
const TWO = `apiVersion: weir.dev/v1alpha1
kind: ApprovalPolicy
metadata: {name: two}
spec: {verbs: [apply], namespaces: [default]}
`;

t.test(
	"a caller without read access is refused; a partial reader sees a note; authors see their own requests",
	async (t) => {
		const made = await mutualApi(t);
		const { owner, as } = made;
		const rules = [
			RULES_GATEWAY,
			serviceText("shop"),
			policyText("callers", "shop"),
			binding("ann", "apply", ["ann"], "[default]"),
			binding("bob", "approve", ["bob"], "[default]"),
			binding("mia", "read", ["mia"], "[other]"),
			TWO,
		];
		await owner.apply(file(rules.join("---\n")), now);
		await (await as("ann")).apply(file(metricText("clicks")), now);

		const commands = await operatorCommand(t, made);
		const [eve, mia, bob, local] = [
			await commands.as("eve"),
			await commands.as("mia"),
			await commands.as("bob"),
			commands.local,
		];
		for (const words of READS) {
			const refused = await eve(...words);
			t.match(
				[refused.code, refused.out, refused.stderr],
				[1, "", /eve needs the verb read in at least one namespace; ask an admin for a RoleBinding/],
				words.join(" "),
			);
		}
		t.match(await mia("requests"), { code: 0, out: "nothing waits for approval that you may read\n" });
		t.match(await mia("history"), { out: "no changes are kept that you may read\n" });
		t.match(await mia("policy", "shadow"), {
			out: "no policy that is declared now is in shadow mode that you may read\n",
		});
		t.match(await mia("status"), { out: "no Experiment and no Service is declared that you may read\n" });
		t.match(await mia("get"), { code: 0, out: "", stderr: "weir: nothing is declared that you may read\n" });
		t.match(JSON.parse((await mia("diff")).out), { partial: true, services: [] });
		t.match(JSON.parse((await local("diff")).out).partial, undefined);
		t.match((await bob("requests")).out, /created Metric clicks/, "an approver sees it");

		await owner.delete("RoleBinding", "ann", now);
		const ann = await commands.as("ann");
		t.match(
			(await ann("requests")).out,
			/asked by \S+ann .*\n {4}created Metric clicks/,
			"the author sees it, without other rights",
		);
		t.match(await ann("status"), { code: 1 });
	},
);

t.test("empty lists of a full reader are printed as empty", async (t) => {
	const { local } = await operatorCommand(t, await mutualApi(t));
	t.match(await local("requests"), { code: 0, out: "nothing waits for approval\n" });
	t.match(await local("history"), { out: "no changes are kept\n" });
	t.match(await local("status"), { out: "no Experiment and no Service is declared\n" });
	t.match(await local("get"), { code: 0, out: "", stderr: "weir: nothing is declared\n" });
});

t.test("a command without credentials reports that, and not that control is down", async (t) => {
	const { api, ca } = await mutualApi(t);
	const directory = await temporaryDirectory(t);
	const status = (environment: NodeJS.ProcessEnv) => run(["status"], { WEIR_API: api.url, ...environment });
	const anonymous = await status({});
	t.match(anonymous, {
		code: 1,
		stderr:
			/is not believed: self-signed certificate in certificate chain; name a trusted CA and .* with --identity SOCKET/,
	});
	t.notMatch(anonymous.stderr, /running/);
	const believing = { WEIR_API_CA: await fileOf(directory, "ca.pem", ca.certificate) };
	const bare = await status({ ...believing, WEIR_API_SERVER: "spiffe://weir.test/weir/control" });
	t.match(bare.stderr, /certificate required; it may want a certificate.* with --identity SOCKET/);
	const other = await status({ ...believing, WEIR_API_SERVER: "spiffe://weir.test/weir/other" });
	t.match(other.stderr, /is not believed: the server's certificate is not that of spiffe:.*--identity/);
});
