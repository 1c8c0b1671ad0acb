/**
 * proto/ is upstream's wire form and src/gen is made from proto/. Upstream's form is upstream.json, which
 * test/fixtures/proto/check.py makes from the official packages; nothing here needs the network.
 */
import { execFile } from "node:child_process";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { type DescFile, fromBinary } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import t from "tap";
import { drift, type Shape, shapeOf } from "./descriptors.js";

/** Compiled to dist/test/wire. */
const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const GEN = fileURLToPath(new URL("../../src/gen/", import.meta.url));

const upstream: Shape = JSON.parse(await readFile(join(ROOT, "test/fixtures/proto/upstream.json"), "utf8"));

/** Descriptors inside the generated code. */
async function generated(): Promise<Shape> {
	const paths = (await readdir(GEN, { recursive: true })).filter((path) => path.endsWith("_pb.js"));
	const modules = await Promise.all(paths.map((path) => import(pathToFileURL(join(GEN, path)).href)));
	const files = modules.flatMap((module) =>
		Object.values<DescFile>(module).filter((exported) => exported?.kind === "file"),
	);
	return shapeOf(files.map(({ proto }) => proto));
}

/** The messages, enums and services that are not Weir's own. */
function upstreams({ messages, enums, services }: Shape): Shape {
	const without = <Value>(all: Readonly<Record<string, Value>>): Record<string, Value> =>
		Object.fromEntries(Object.entries(all).filter(([name]) => !name.startsWith("weir.")));
	return { messages: without(messages), enums: without(enums), services: without(services) };
}

t.test("every message, field, enum value and method in proto/ equals upstream's", async (t) => {
	const ours = upstreams(await generated());
	t.same(drift(ours, upstream), []);
	t.same(
		Object.keys(ours.messages).sort(),
		Object.keys(upstream.messages).sort(),
		"and upstream.json is of our subset",
	);
	t.ok(Object.keys(ours.messages).length > 150);
});

t.test("the generated code is made from proto/ as it is", async (t) => {
	const run = promisify(execFile);
	const { stdout } = await run(join(ROOT, "node_modules/.bin/buf"), ["build", "proto", "-o", "-#format=binpb"], {
		cwd: ROOT,
		encoding: "buffer",
		maxBuffer: 64 * 1024 * 1024,
	});
	const { file } = fromBinary(FileDescriptorSetSchema, stdout);
	t.same(await generated(), shapeOf(file.filter((declared) => declared.package !== "google.protobuf")));
});

t.test("the comparison finds an altered number, type, label, oneof, name, enum value or method", async (t) => {
	const host = "envoy.config.route.v3.VirtualHost";
	const alter = (name: string, member: string, form: string | number, kind: keyof Shape = "messages") =>
		drift({ messages: {}, enums: {}, services: {}, [kind]: { [name]: { [member]: form } } }, upstream);
	t.same(alter(host, "retry_policy", "16 envoy.config.route.v3.RetryPolicy"), []);
	t.same(alter(host, "retry_policy", "17 envoy.config.route.v3.RetryPolicy"), [
		`${host}.retry_policy: ours is '17 envoy.config.route.v3.RetryPolicy', upstream's is '16 envoy.config.route.v3.RetryPolicy'`,
	]);
	t.equal(alter(host, "retry_policy", "16 string").length, 1);
	t.equal(alter(host, "name", "1 repeated string").length, 1);
	t.equal(alter("envoy.config.route.v3.Route", "route", "2 envoy.config.route.v3.RouteAction").length, 1);
	t.equal(alter(host, "retries", "16 envoy.config.route.v3.RetryPolicy").length, 1);
	t.equal(alter("envoy.config.route.v3.Host", "name", "1 string").length, 1);
	t.equal(alter("envoy.config.cluster.v3.Cluster.LbPolicy", "MAGLEV", 4, "enums").length, 1);
	t.equal(alter("grpc.health.v1.Health", "Check", "grpc.health.v1.HealthCheckRequest -> string", "services").length, 1);
});
