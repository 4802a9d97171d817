import { compileQwen3 } from "@weft/qwen3";
import { orThrow } from "@weft/dsl";
import { writeFileSync } from "node:fs";
import { qwen3Of4B, threeLayers } from "../test/support/qwen3-config.ts";
import { emitCuda, selfContained } from "@weft/compiler";
for (const [n,c,cap,chunk] of [["4b",qwen3Of4B,4096,512],["tiny",threeLayers,64,32]] as const) for (const p of ["bf16","f32"] as const) for (const fusion of [true,false]) {
const plan=orThrow(compileQwen3(c,{capacity:cap,chunk,policy:p,storage:()=>p,logits:"last",record:false,fusion})).plan;
const t=performance.now();
const cuda=emitCuda(plan); console.log(n,p,fusion,(performance.now()-t).toFixed(0),"ms", cuda.functions.length, cuda.programs.map(x=>x.launches.length), cuda.scratchBytes, cuda.tickets);
writeFileSync(`/tmp/cu/${n}-${p}-${fusion}.cu`, selfContained(cuda.modules[0]!.source));
}
