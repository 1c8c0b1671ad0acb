/** Logged paths keep words, and mask tokens, persons and parameters. */
import t from "tap";
import { isWholePath, shownPath } from "../../../src/compile/access/requests/shownPath.js";

const part = (value: object | string): string =>
	Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString("base64url");
const SIGNATURE = Buffer.alloc(32, 7).toString("base64url");
const JWT = `${part({ alg: "HS256" })}.${part({ sub: "ann" })}.${SIGNATURE}`;
const [HEADER = "", PAYLOAD = ""] = JWT.split(".");
const JWE = [part({ alg: "dir", enc: "A128GCM" }), "", "AAAA", "BBBB", "CCCC"].join(".");

t.test("tokens in compact form are masked as whole segments", async (t) => {
	for (const token of [
		JWT,
		JWE,
		`${HEADER}.${PAYLOAD}.`,
		`${HEADER}.${PAYLOAD}`,
		`${HEADER}.`,
		JWT.replaceAll(".", "%2e"),
		JWT.replaceAll(".", "%2E"),
		JWT.replaceAll(".", "%252e"),
		JWT.replaceAll(".", "%25252e"),
		JWT.replace("e", "%65"),
		`Bearer%20${JWT}`,
		`token=${JWT}`,
		`token-${JWT}.pdf`,
		`a,${JWT}`,
		`a\\${JWT}`,
		`(${JWT})`,
		`${JWT}~disclosure~`,
		`${part('{ "alg":"ES256"}')}.${PAYLOAD}.${SIGNATURE}`,
		`${part('{\n"alg":"none"}')}.${PAYLOAD}.`,
		`${part(' {"alg":"ES256"}')}.${PAYLOAD}.${SIGNATURE}`,
		`a.b.${SIGNATURE}`,
		`x.${JWT}`,
	]) {
		t.equal(shownPath(`/reset/${token}/x`), "/reset/(masked)/x", token);
		t.equal(shownPath(token), "(masked)", token);
	}
});

t.test("a part of a token, also a possible signature, is masked", async (t) => {
	for (const [path, shown] of [
		[`/r/${HEADER}/${PAYLOAD}/${SIGNATURE}/x`, "/r/(masked)/(masked)/(masked)/x"],
		[`/r/${HEADER}%2f${PAYLOAD}%2F${SIGNATURE}`, "/r/(masked)"],
		[`/r/${PAYLOAD}`, "/r/(masked)"],
		[`/r/token=${PAYLOAD}`, "/r/(masked)"],
		[`/r/%65${PAYLOAD.slice(1)}/x/${SIGNATURE}`, "/r/(masked)/x/(masked)"],
		[`/r;${PAYLOAD}/${SIGNATURE}`, "/r;(masked)/(masked)"],
		["/eyJhbGciOiJub25lIn0", "/(masked)"],
		// Cut behind the first name, or within it.
		[`/r/${part('{"alg"')}`, "/r/(masked)"],
		[`/r/${part('{"tenant')}`, "/r/(masked)"],
		[`/r/${part('{"tenan\\')}`, "/r/(masked)"],
		[`/r/${part({ ["n".repeat(99)]: 1 })}`, "/r/(masked)"],
		[`/r/${part('{"a\\"b":1}')}`, "/r/(masked)"],
		[`/r/${part('{\n\t"a" : 1}')}`, "/r/(masked)"],
		[`/r/${SIGNATURE}/${PAYLOAD}`, `/r/${SIGNATURE}/(masked)`],
		[`/r/${PAYLOAD}/2f1c8a52-9f7e-4a62-b7d0-0b0f4b1f5f3a`, "/r/(masked)/2f1c8a52-9f7e-4a62-b7d0-0b0f4b1f5f3a"],
	] as const)
		t.equal(shownPath(path), shown);
});

t.test("parameters of segments are cut as a query is, also where they are escaped", async (t) => {
	for (const [path, shown] of [
		[`/a;access_token=${JWT}`, "/a;(masked)"],
		["/a;access_token=opaque/b;v=1/c", "/a;(masked)/b;(masked)/c"],
		["/a;x", "/a;(masked)"],
		["/;x=y", "/;(masked)"],
		["/a;", "/a;"],
		["/a;b@c.example", "/a;(masked)"],
		["/a@b.example;x=y", "/(masked);(masked)"],
		["/a%3Btoken=opaque", "/a%3B(masked)"],
		["/a%253btoken=opaque", "/a%253b(masked)"],
		["/a%3Ftoken=opaque", "/a%3F(masked)"],
		["/a%23token=opaque", "/a%23(masked)"],
		["/a%3fnext=/home&user=alice", "/a%3f(masked)"],
		["/a;v=1/b%2523x=AbC/dEf", "/a;(masked)/b%2523(masked)"],
		["/a%23", "/a%23"],
		["/a/b%3%66x/secret", "/a/(masked)"],
		["/a/b%%33fx/secret", "/a/(masked)"],
		["/a#token=opaque/b", "/a#(masked)"],
		["/a%%33btoken=opaque", "/(masked)"],
	] as const)
		t.equal(shownPath(path), shown);
});

t.test("words with the letters of encoded JSON are kept", async (t) => {
	for (const path of [
		"/docs/homework-2024.pdf",
		"/static/framework-v2.json",
		"/v2/models/framework_large.v2/infer",
		"/surveyAnswers.csv",
		"/surveyJournal.csv",
		"/v1/surveyJournal",
		"/acme.Surveys/GetSurveyJsonExport",
		"/v2/models/monkeyJungle",
		"/api/keyJoinRequests",
		"/HoneyJarList",
		"/acme.Jobs/ListKeyJobsByOwner",
		"/moneyJournalEntries",
		// JSON by chance, and no name.
		`/${part('{"tenan')}`,
		`/${part('{"a"b')}`,
		"/preview0123456.jpg",
		"/moneyAccounts.html",
		"/fireworks-display.html",
		"/newkirk-motors.html",
		"/KeyAgreement.pdf",
		"https://homework-help.example.com/x",
		`/main.bundle.${"0123456789abcdef".repeat(4)}.js`,
	])
		t.equal(shownPath(path), path);
});

t.test("words, versions, files, ids and earlier masks are kept", async (t) => {
	for (const path of [
		...[
			"",
			"/",
			"//",
			"*",
			"/v2/models/m/infer",
			"/v1.2.3/app.min.js",
			"/a.b.c",
			"/www.a.example/x",
			"/%zz",
			"/100%25",
		],
		...["/users/7", "/files/keyboard-layout.min.js", "/a-very-long-package-name-of-some-sort-1.22.333-linux.tar.gz"],
		...["/.well-known/weir-probe", "/2f1c8a52-9f7e-4a62-b7d0-0b0f4b1f5f3a", "/caf%C3%A9"],
	])
		t.equal(shownPath(path), path);
	for (const path of [`/reset/${JWT}`, `/a;b=${JWT}/x@y`]) t.equal(shownPath(shownPath(path)), shownPath(path));
	t.ok(isWholePath("/a/b"));
	for (const kept of ["/(masked)", "/a;(masked)/b", "/a…"]) t.notOk(isWholePath(kept), kept);
});

t.test("the longest paths cost linear time", async (t) => {
	const bytes = 60_000;
	for (const text of ["a", "a.", "%25", "%", "eyJ", "eyJ.", "..", ";", "%2", "%253", "/", "@", "-"]) {
		const path = `/${text.repeat(bytes / text.length)}`;
		const begun = process.cpuUsage();
		shownPath(path);
		const { user } = process.cpuUsage(begun);
		t.ok(user < 500_000, `${text}: ${user} µs`);
	}
});
