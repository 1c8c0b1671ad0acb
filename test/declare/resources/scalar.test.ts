import t from "tap";
import { isIp, isLoopback, isLoopbackHost } from "../../../src/declare/resources/address.js";
import { name, reference } from "../../../src/declare/resources/fields/scalar.js";
import { parseDuration, parsePercentage } from "../../../src/declare/resources/fields/units.js";
import { isWorkloadId, onlyWorkloadId, spiffeFault, WORKLOAD_ID } from "../../../src/declare/resources/spiffe.js";
import { nearestName } from "../../../src/declare/resources/suggest.js";

t.test("no resource has the name of a JavaScript object's built-in property", async (t) => {
	for (const [text, isName] of [
		["constructor", false],
		["constructor-1", true],
		["a.constructor", true],
		["a".repeat(63), true],
		["a".repeat(64), false],
	] as const)
		t.equal(name.safeParse(text).success, isName, text);
	const [long, longer] = ["a".repeat(63), "a".repeat(64)];
	for (const [text, isReference] of [
		[`${long}/${long}`, true],
		[`${longer}/${long}`, false],
		[`${long}/${longer}`, false],
		["team/constructor", false],
		["constructor/a", false],
	] as const)
		t.equal(reference.safeParse(text).success, isReference, text);
});

t.test("every percentage of four decimals is read exactly", async (t) => {
	let wrong = 0;
	let wrongByFloat = 0;
	for (let ppm = 0; ppm <= 1_000_000; ppm++) {
		const text = `${Math.floor(ppm / 10_000)}.${String(ppm % 10_000).padStart(4, "0")}%`;
		if (parsePercentage(text) !== ppm) wrong++;
		if (Math.floor(Number.parseFloat(text) * 10_000) !== ppm) wrongByFloat++;
	}
	t.equal(wrong, 0);
	t.ok(wrongByFloat > 10_000, `the obvious way is wrong for ${wrongByFloat}`);
});

t.test("percentages have short forms, and others are invalid", async (t) => {
	const good: readonly [string, number][] = [
		["0%", 0],
		["2%", 20_000],
		["02%", 20_000],
		["0.0001%", 1],
		["0.5%", 5_000],
		["12.25%", 122_500],
		["100%", 1_000_000],
		["100.0000%", 1_000_000],
	];
	for (const [text, ppm] of good) t.equal(parsePercentage(text), ppm, text);
	const bad = [
		"",
		"%",
		"2",
		"2 %",
		"-1%",
		"+1%",
		".5%",
		"5.%",
		"100.0001%",
		"101%",
		"1e1%",
		"1000%",
		"1.00000%",
		"２%",
		"2%\n",
	];
	for (const text of bad) t.equal(parsePercentage(text), null, JSON.stringify(text));
});

t.test("durations are parsed and invalid ones refused", async (t) => {
	const good: readonly [string, number][] = [
		["0s", 0],
		["10s", 10_000],
		["1500ms", 1_500],
		["5m", 300_000],
		["1h", 3_600_000],
		["14d", 1_209_600_000],
		["1m30s", 90_000],
		["1d2h3m4s5ms", 93_784_005],
		["90s", 90_000],
	];
	for (const [text, ms] of good) t.equal(parseDuration(text), ms, text);
	for (const text of [
		"",
		"10",
		"1.5s",
		"s",
		"5s1m",
		"1m1m",
		"-1s",
		"1 s",
		"1S",
		"1w",
		"10us",
		"367d",
		"1e3s",
		`${"9".repeat(400)}s`,
	]) {
		t.equal(parseDuration(text), null, JSON.stringify(text));
	}
});

t.test("SPIFFE ids are validated", async (t) => {
	const good = [
		"spiffe://example.org",
		"spiffe://example.org/ns/team-a/sa/web",
		"spiffe://e_x.1/A.b-C_1",
		"spiffe://1.2.3.4/service",
	];
	for (const id of good) t.equal(spiffeFault(id), null, id);
	t.equal(spiffeFault(`spiffe://e/${"a".repeat(2_048 - 11)}`), null, "2048 bytes");
	const bad: readonly [string, string][] = [
		["", "does not begin with spiffe://"],
		["SPIFFE://example.org/a", "does not begin with spiffe://"],
		["https://example.org/a", "does not begin with spiffe://"],
		["spiffe:/example.org/a", "does not begin with spiffe://"],
		["spiffe://", "has no trust domain"],
		["spiffe:///a", "has no trust domain"],
		["spiffe://.", "has a . or .. trust domain"],
		["spiffe://../a", "has a . or .. trust domain"],
		["spiffe://Example.org/a", "has capitals in its trust domain"],
		["spiffe://example.org:443/a", "has a port"],
		["spiffe://user@example.org/a", "has user information"],
		["spiffe://example.org/a?b", "has a query or fragment"],
		["spiffe://example.org/a#b", "has a query or fragment"],
		["spiffe://example.org/%61", "has percent-encoding"],
		["spiffe://example.org/", "ends with a slash"],
		["spiffe://example.org/a/", "ends with a slash"],
		["spiffe://example.org//a", "has an empty path segment"],
		["spiffe://example.org/./a", "has a . or .. path segment"],
		["spiffe://example.org/a/../b", "has a . or .. path segment"],
		["spiffe://example.org/a\0", "has a character in its path that SPIFFE forbids"],
		["spiffe://example.org/ü", "has a character in its path that SPIFFE forbids"],
		["spiffe://example.org/a*", "has a character in its path that SPIFFE forbids"],
		["spiffe://exаmple.org/a", "has a character in its trust domain that SPIFFE forbids"],
		[`spiffe://e/${"a".repeat(2_048)}`, "is longer than 2048 bytes"],
		[`spiffe://${"a".repeat(256)}/a`, "has a trust domain of more than 255 bytes"],
	];
	for (const [id, fault] of bad) t.equal(spiffeFault(id), fault, id.slice(0, 60));
});

t.test("a workload's SPIFFE id must match its pattern and a total length", async (t) => {
	const pattern = new RegExp(`^${WORKLOAD_ID}$`);
	const parts = [
		"",
		".",
		"..",
		"...",
		".a",
		"a.",
		"..a",
		"a..",
		"a",
		"-",
		"_",
		"9",
		"A",
		"é",
		"%",
		"a b",
		"@",
		":",
		"\n",
	];
	const domains = [...parts, "a.b-c_d", ...["a", "."].flatMap((one) => [one.repeat(255), one.repeat(256)])];
	for (const domain of domains) {
		for (const first of [null, ...parts]) {
			for (const second of [null, ...parts]) {
				const id = `spiffe://${[domain, first, second].filter((part) => part !== null).join("/")}`;
				if (pattern.test(id) !== isWorkloadId(id)) t.fail(JSON.stringify(id));
			}
		}
	}
	t.ok(pattern.test("spiffe://example.org/ns/team-a/sa/web"));
});

t.test("a certificate's names give at most one workload", async (t) => {
	const id = "spiffe://example.org/web";
	for (const names of [`URI:${id}`, `DNS:a.test, URI:${id}, DNS:b.test`]) t.equal(onlyWorkloadId(names), id, names);
	for (const names of [
		null,
		undefined,
		"",
		"DNS:a.test",
		`DNS:${id}`,
		`URI:${id}, URI:${id}`,
		"URI:spiffe://example.org",
		`URI:${id}, DNS:"a, b"`,
		"URI:https://a.test/b",
	])
		t.equal(onlyWorkloadId(names), null, String(names));
});

t.test("loopback hosts are known as in Host headers, URLs and options", async (t) => {
	for (const host of ["localhost", "LocalHost", "127.0.0.1", "127.9.9.9", "::1", "[::1]"])
		t.ok(isLoopbackHost(host), host);
	for (const host of [
		"",
		"localhost.",
		"localhost.example",
		"127.0.0.1.example",
		"127.1",
		"[127.0.0.1",
		"[[::1]]",
		"[::2]",
		"0.0.0.0",
	])
		t.notOk(isLoopbackHost(host), host);
});

t.test("only unambiguous forms are IP addresses", async (t) => {
	for (const address of ["0.0.0.0", "255.1.10.99", "::", "2001:DB8::1", "1:2:3:4:5:6:7:8", "::ffff:10.0.0.1"])
		t.ok(isIp(address), address);
	for (const address of [
		...["", "1.2.3", "1.2.3.4.5", "256.1.1.1", "01.2.3.4", "1.2.3.4 ", "0x7f.0.0.1", "2130706433"],
		...["1::2::3", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "12345::", "g::", "[::1]", "fe80::1%eth0", "::1/64"],
	])
		t.notOk(isIp(address), address);
});

t.test("loopback addresses are known", async (t) => {
	for (const address of ["127.0.0.1", "127.9.9.9", "::1", "0:0:0:0:0:0:0:1"]) t.ok(isLoopback(address), address);
	for (const address of [
		"0.0.0.0",
		"::",
		"10.0.0.1",
		"localhost",
		"128.0.0.1",
		"127.0.0.1.example",
		"127.1",
		"::2",
		"1::1",
	]) {
		t.notOk(isLoopback(address), address);
	}
});

t.test("the nearest name is suggested, and a far one is not", async (t) => {
	const known = ["weight", "variant", "baseline"];
	t.equal(nearestName("wieght", known), "weight");
	t.equal(nearestName("Base-Line", known), "baseline");
	t.equal(nearestName("colour", known), null);
	t.equal(nearestName("v3", ["v1", "v2"]), null);
	t.equal(nearestName("x".repeat(1_000_000), known), null);
});
