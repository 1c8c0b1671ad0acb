/** An Envoy's admin whose counters a test says, and a prober that sends no probe and watches the Service `a` behind `edge`. */
import { createServer } from "node:http";
import { join } from "node:path";
import type { Test } from "tap";
import { localAdmin } from "../../src/probe/envoyPage.js";
import { Prober, type ProberOptions } from "../../src/probe/prober.js";
import { temporaryDirectory } from "../cli/command.js";

export interface Said {
	/** null = it answers with an error. */
	counters: Readonly<Record<string, number>> | null;
	/** When Envoy started, in seconds before now. */
	uptime: number;
	epoch: number;
}

export const ACTIVE = "http.gateway.edge.downstream_rq_active";
export const JUDGED = "http.gateway.edge.rbac.weir_allow_.allowed";
export const ROUTED = "vhost.a.route.edge.upstream_rq_total";
export const SENT = "cluster.a/v1.upstream_rq_total";

export async function countedAdmin(t: Test) {
	const adminSocket = join(await temporaryDirectory(t), "admin.sock");
	const said: Said = { counters: {}, uptime: 1000, epoch: 0 };
	const server = createServer(({ url = "" }, response) => {
		if (url === "/server_info") {
			const options = { restart_epoch: said.epoch };
			response.end(JSON.stringify({ uptime_current_epoch: `${said.uptime}s`, command_line_options: options }));
		} else if (said.counters === null) response.writeHead(500).end();
		else {
			const filter = new RegExp(new URL(url, "http://admin").searchParams.get("filter") ?? "");
			const lines = Object.entries(said.counters).map(([name, value]) => `${name}: ${value}\n`);
			response.end(lines.filter((line) => filter.test(line.slice(0, line.lastIndexOf(":")))).join(""));
		}
	}).listen(adminSocket);
	t.teardown(() => {
		server.close();
		server.closeAllConnections();
	});
	const listeners = [
		{ gateway: "edge", services: [{ name: "a", host: "a.test", judgedBy: "envoy", wild: false }] },
	] as const;
	const prober = (more: Partial<ProberOptions> = {}): Prober =>
		new Prober({ listeners: () => listeners, ask: () => null, admin: localAdmin(adminSocket), ...more });
	return { said, prober };
}
