import { compile, printPlan, printKernel, interpret, quantize, precision } from "@weft/compiler";
import { axis, GraphBuilder, orThrow, encodeNvfp4, decodeNvfp4, nvfp4EncodeScale } from "@weft/dsl";
import { cpuDevice } from "@weft/runtime-cpu";
const K=64, N=40;
const b = new GraphBuilder(); const add=b.add.bind(b);
b.declareSymbol({name:"seq",max:20});
const seq=axis("seq",{symbol:"seq",max:20});
const x=add("input",[],{name:"x",dtype:"f32",axes:[seq,axis("a",2),axis("k",32)]});
const W=add("parameter",[],{name:"w",dtype:"f32",axes:[axis("n",N),axis("a",2),axis("k",32)]});
const y=add("linear",[x,W],{from:["a","k"],to:["n"]});
const T=add("parameter",[],{name:"t",dtype:"f32",axes:[axis("v",21),axis("n",N)]});
const ids=add("input",[],{name:"ids",dtype:"i32",axes:[seq]});
void T;
const g=b.finish("g",[{name:"y",node:y}]);
const compiled = orThrow(compile([{name:"main",graph:g,passes:[quantize({weights:(n)=>n==="w"?{hasTensorScale:true,activations:"none"}:undefined}),precision({policy:"f32",storage:()=>"f32"})]}],{name:"q"}));
console.log(printPlan(compiled.plan, {} as never).slice(0,1500));
for(const k of compiled.plan.kernels) console.log(printKernel(compiled.plan,k));
using device=cpuDevice({threads:2});
const rnd=(i:number)=>Math.sin(i*12.9898)*0.7;
const w=Float32Array.from({length:N*K},(_,i)=>rnd(i));
const S=nvfp4EncodeScale(Math.max(...w.map(Math.abs)));
const {codes,scales}=encodeNvfp4(w,{encodeScale:S});
const q=decodeNvfp4({codes,scales}).map(v=>v/S);
using ex = await device.load(compiled.plan,{w:{kind:"data",data:codes,scales,dtype:"nvfp4",shape:[N,K]},"w.tensor_scale":{kind:"data",data:Float32Array.of(1/S),dtype:"f32",shape:[]}} as never);
for (const n of [1,3,8,9,20]) {
 const xs=Float32Array.from({length:n*K},(_,i)=>rnd(i*7+3));
 const r=await ex.run("main",{symbols:{seq:n},inputs:{x:xs}});
 let worst=0;
 for(let i=0;i<n;i++)for(let j=0;j<N;j++){let s=0;for(let k=0;k<K;k++)s+=xs[i*K+k]!*q[j*K+k]!; worst=Math.max(worst,Math.abs(s-(r.outputs.y as Float32Array)[i*N+j]!));}
 console.log(n,worst);
}
