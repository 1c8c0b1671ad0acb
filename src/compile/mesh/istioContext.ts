/** What the files of Istio share: the declaration on its way. */
import type { ResourceSet } from "../../declare/resources/resource.js";
import type { MeshOptions } from "./mesh.js";
import type { MeshService } from "./meshService.js";

/** What the manifests of all Istio files are made from. */
export interface IstioContext {
	readonly resources: ResourceSet;
	readonly services: readonly MeshService[];
	/** Those that the sidecar is asked about. */
	readonly asked: readonly MeshService[];
	readonly options: MeshOptions;
	/** As VirtualServices name them: `namespace/name`. */
	readonly gateways: readonly string[];
}
