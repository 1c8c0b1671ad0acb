import type { ResourceSet } from "../../declare/resources/resource.js";
import type { MeshOptions } from "./mesh.js";
import type { MeshService } from "./meshService.js";

/** Input of all Istio manifests. */
export interface IstioContext {
	readonly resources: ResourceSet;
	readonly services: readonly MeshService[];
	/** Services that use the sidecar. */
	readonly asked: readonly MeshService[];
	readonly options: MeshOptions;
	/** As VirtualServices name them: `namespace/name`. */
	readonly gateways: readonly string[];
}
