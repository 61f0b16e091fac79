ModuleOp(
	builtin.module @small {
	  func.func @decode(%0: tensor<1x32xi32> {ttcore.argument_type = #ttcore.argument_type<input>, ttir.name = "input_ids"}, %1: tensor<32xi32> {ttcore.argument_type = #ttcore.argument_type<input>, ttir.name = "positions"}, %2: tensor<32x2x128x32xbf16> {ttcore.argument_type = #ttcore.argument_type<input>, ttcore.kv_cache, ttir.name = "layers.0.key_cache"}, %3: tensor<32x2x128x32xbf16> {ttcore.argument_type = #ttcore.argument_type<input>, ttcore.kv_cache, ttir.name = "layers.0.value_cache"}, %4: tensor<32x2x128x32xbf16> {ttcore.argument_type = #ttcore.argument_type<input>, ttcore.kv_cache, ttir.name = "layers.1.key_cache"}, %5: tensor<32x2x128x32xbf16> {ttcore.argument_type = #ttcore.argument_type<input>, ttcore.kv_cache, ttir.name = "layers.1.value_cache"}, %6: tensor<128x128xbf16> {ttcore.argument_type = #ttcore.argument_type<parameter>, ttir.name = "model.layers.0.self_attn.q_proj.weight"}, %7: tensor<64x128xbf16> {ttcore.argument_type = #ttcore.argument_type<parameter>, ttir.name = "model.layers.0.self_attn.k_proj.weight"}, %8: tensor<64x128xbf16> {ttcore.argument_type = #ttcore.argument_type<parameter>, ttir.name = "model.layers.0.self_attn.v_proj.weight"}, %9: tensor<128x128xbf16> {ttcore.argument_type = #ttcore.argument_type<parameter>, ttir.name = "model.layers.0.self_attn.o_proj.weight"}, %10: tensor<32xbf16> {ttcore.argument_type = #ttcore.argument_type<parameter>, ttir.name = "model.layers.0.self_attn.q_norm.weight"}, %11: tensor<32xbf16> {ttcore.argument_type = #ttcore.argument_type<parameter>, ttir.name = "model.layers.0.self_attn.k_norm.weight"}, %12: tensor<192x128xbf16> {ttcore.argument_type = #ttcore.argument_type<parameter>, ttir.name = "model.layers.0.mlp.gate_proj.weight"}, %13: tensor<192x128xbf16> {ttcore.argument_type = #ttcore.argument_type<parameter>, ttir.name = "model.layers.0.mlp.up_proj.weight"}, %14: tensor<128x192xbf16> {ttcore.argument_type = #ttcore.argument_type<parameter>, ttir.name = "model.layers.0.mlp.down_proj.weight"}, %15: tensor<128xbf16> {ttcore.argument_type = #ttcore.argument_type<parameter>, ttir.name = "model.layers.0.input_layernorm.weight"}, %16: tensor<128xbf16> {ttcore.argument_type = #ttcore.argument_type<parameter>, ttir.name = "model.layers.0.post_attention_layernorm.weight"}, %17: tensor<128xbf16> {ttcore.argument_type = #ttcore.argument_type<parameter>, ttir.name = "model.norm.weight"}, %18: tensor<320x128xbf16> {ttcore.argument_type = #ttcore.argument_type<parameter>, ttir.name = "model.embed_tokens.weight"}, %19: tensor<128x32xbf16> {ttcore.argument_type = #ttcore.argument_type<constant>, ttir.name = "model.rotary_emb.cos"}, %20: tensor<128xbf16> {ttcore.argument_type = #ttcore.argument_type<parameter>, ttir.name = "model.layers.1.input_layernorm.weight"}, %21: tensor<128x128xbf16> {ttcore.argument_type = #ttcore.argument_type<parameter>, ttir.name = "model.layers.1.self_attn.q_proj.weight"}, %22: tensor<32xbf16> {ttcore.argument_type = #ttcore.argument_type<parameter>, ttir.name = "model.layers.1.self_attn.q_norm.weight"}, %23: tensor<64x128xbf16> {ttcore.argument_type = #ttcore.argument_type<parameter>, ttir.name = "model.layers.1.self_attn.k_proj.weight"}, %24: tensor<32xbf16> {ttcore.argument_type = #ttcore.argument_type<parameter>, ttir.name = "model.layers.1.self_attn.k_norm.weight"}, %25: tensor<64x128xbf16> {ttcore.argument_type = #ttcore.argument_type<parameter>, ttir.name = "model.layers.1.self_attn.v_proj.weight"}, %26: tensor<128x128xbf16> {ttcore.argument_type = #ttcore.argument_type<parameter>, ttir.name = "model.layers.1.self_attn.o_proj.weight"}, %27: tensor<128xbf16> {ttcore.argument_type = #ttcore.argument_type<parameter>, ttir.name = "model.layers.1.post_attention_layernorm.weight"}, %28: tensor<192x128xbf16> {ttcore.argument_type = #ttcore.argument_type<parameter>, ttir.name = "model.layers.1.mlp.gate_proj.weight"}, %29: tensor<192x128xbf16> {ttcore.argument_type = #ttcore.argument_type<parameter>, ttir.name = "model.layers.1.mlp.up_proj.weight"}, %30: tensor<128x192xbf16> {ttcore.argument_type = #ttcore.argument_type<parameter>, ttir.name = "model.layers.1.mlp.down_proj.weight"}, %31: tensor<128x32xbf16> {ttcore.argument_type = #ttcore.argument_type<constant>, ttir.name = "model.rotary_emb.sin_signed"}) -> (tensor<1x32x320xf32> {ttir.name = "output"}) {
	    %32 = "ttir.reshape"(%1) <{shape = [1 : i32, 32 : i32]}> : (tensor<32xi32>) -> tensor<1x32xi32>
	    %33 = "ttir.embedding"(%0, %18) : (tensor<1x32xi32>, tensor<320x128xbf16>) -> tensor<1x32x128xbf16>
	    %34 = "ttir.embedding"(%32, %19) : (tensor<1x32xi32>, tensor<128x32xbf16>) -> tensor<1x32x32xbf16>
	    %35 = "ttir.embedding"(%32, %31) : (tensor<1x32xi32>, tensor<128x32xbf16>) -> tensor<1x32x32xbf16>
	    %36 = "ttir.rms_norm"(%33, %15) <{normalized_shape = array<i64: 128>, epsilon = 1.000000e-06 : f32, operandSegmentSizes = array<i32: 1, 1, 0>}> : (tensor<1x32x128xbf16>, tensor<128xbf16>) -> tensor<1x32x128xbf16>
	    %37 = "ttir.linear"(%36, %6) <{transpose_a = false, transpose_b = true}> : (tensor<1x32x128xbf16>, tensor<128x128xbf16>) -> tensor<1x32x128xbf16>
	    %38 = "ttir.reshape"(%37) <{shape = [1 : i32, 32 : i32, 4 : i32, 32 : i32]}> : (tensor<1x32x128xbf16>) -> tensor<1x32x4x32xbf16>
	    %39 = "ttir.rms_norm"(%38, %10) <{normalized_shape = array<i64: 32>, epsilon = 1.000000e-06 : f32, operandSegmentSizes = array<i32: 1, 1, 0>}> : (tensor<1x32x4x32xbf16>, tensor<32xbf16>) -> tensor<1x32x4x32xbf16>
	    %40 = "ttir.permute"(%39) <{permutation = array<i64: 0, 2, 1, 3>}> : (tensor<1x32x4x32xbf16>) -> tensor<1x4x32x32xbf16>
	    %41 = "ttir.linear"(%36, %7) <{transpose_a = false, transpose_b = true}> : (tensor<1x32x128xbf16>, tensor<64x128xbf16>) -> tensor<1x32x64xbf16>
	    %42 = "ttir.reshape"(%41) <{shape = [1 : i32, 32 : i32, 2 : i32, 32 : i32]}> : (tensor<1x32x64xbf16>) -> tensor<1x32x2x32xbf16>
	    %43 = "ttir.rms_norm"(%42, %11) <{normalized_shape = array<i64: 32>, epsilon = 1.000000e-06 : f32, operandSegmentSizes = array<i32: 1, 1, 0>}> : (tensor<1x32x2x32xbf16>, tensor<32xbf16>) -> tensor<1x32x2x32xbf16>
	    %44 = "ttir.permute"(%43) <{permutation = array<i64: 0, 2, 1, 3>}> : (tensor<1x32x2x32xbf16>) -> tensor<1x2x32x32xbf16>
	    %45 = "ttir.linear"(%36, %8) <{transpose_a = false, transpose_b = true}> : (tensor<1x32x128xbf16>, tensor<64x128xbf16>) -> tensor<1x32x64xbf16>
	    %46 = "ttir.reshape"(%45) <{shape = [1 : i32, 32 : i32, 2 : i32, 32 : i32]}> : (tensor<1x32x64xbf16>) -> tensor<1x32x2x32xbf16>
	    %47 = "ttir.permute"(%46) <{permutation = array<i64: 0, 2, 1, 3>}> : (tensor<1x32x2x32xbf16>) -> tensor<1x2x32x32xbf16>
	    %48 = "ttir.reshape"(%34) <{shape = [1 : i32, 1 : i32, 32 : i32, 32 : i32]}> : (tensor<1x32x32xbf16>) -> tensor<1x1x32x32xbf16>
	    %49 = "ttir.reshape"(%35) <{shape = [1 : i32, 1 : i32, 32 : i32, 32 : i32]}> : (tensor<1x32x32xbf16>) -> tensor<1x1x32x32xbf16>
	    %50 = "ttir.multiply"(%40, %48) : (tensor<1x4x32x32xbf16>, tensor<1x1x32x32xbf16>) -> tensor<1x4x32x32xbf16>
	    %51 = "ttir.slice_static"(%40) <{begins = [0 : i32, 0 : i32, 0 : i32, 0 : i32], ends = [1 : i32, 4 : i32, 32 : i32, 16 : i32], step = [1 : i32, 1 : i32, 1 : i32, 1 : i32]}> : (tensor<1x4x32x32xbf16>) -> tensor<1x4x32x16xbf16>
	    %52 = "ttir.slice_static"(%40) <{begins = [0 : i32, 0 : i32, 0 : i32, 16 : i32], ends = [1 : i32, 4 : i32, 32 : i32, 32 : i32], step = [1 : i32, 1 : i32, 1 : i32, 1 : i32]}> : (tensor<1x4x32x32xbf16>) -> tensor<1x4x32x16xbf16>
	    %53 = "ttir.concat"(%52, %51) <{dim = 3 : si32}> : (tensor<1x4x32x16xbf16>, tensor<1x4x32x16xbf16>) -> tensor<1x4x32x32xbf16>
	    %54 = "ttir.multiply"(%53, %49) : (tensor<1x4x32x32xbf16>, tensor<1x1x32x32xbf16>) -> tensor<1x4x32x32xbf16>
	    %55 = "ttir.add"(%50, %54) : (tensor<1x4x32x32xbf16>, tensor<1x4x32x32xbf16>) -> tensor<1x4x32x32xbf16>
	    %56 = "ttir.multiply"(%44, %48) : (tensor<1x2x32x32xbf16>, tensor<1x1x32x32xbf16>) -> tensor<1x2x32x32xbf16>
	    %57 = "ttir.slice_static"(%44) <{begins = [0 : i32, 0 : i32, 0 : i32, 0 : i32], ends = [1 : i32, 2 : i32, 32 : i32, 16 : i32], step = [1 : i32, 1 : i32, 1 : i32, 1 : i32]}> : (tensor<1x2x32x32xbf16>) -> tensor<1x2x32x16xbf16>
	    %58 = "ttir.slice_static"(%44) <{begins = [0 : i32, 0 : i32, 0 : i32, 16 : i32], ends = [1 : i32, 2 : i32, 32 : i32, 32 : i32], step = [1 : i32, 1 : i32, 1 : i32, 1 : i32]}> : (tensor<1x2x32x32xbf16>) -> tensor<1x2x32x16xbf16>
	    %59 = "ttir.concat"(%58, %57) <{dim = 3 : si32}> : (tensor<1x2x32x16xbf16>, tensor<1x2x32x16xbf16>) -> tensor<1x2x32x32xbf16>
	    %60 = "ttir.multiply"(%59, %49) : (tensor<1x2x32x32xbf16>, tensor<1x1x32x32xbf16>) -> tensor<1x2x32x32xbf16>
	    %61 = "ttir.add"(%56, %60) : (tensor<1x2x32x32xbf16>, tensor<1x2x32x32xbf16>) -> tensor<1x2x32x32xbf16>
	    %62 = "ttir.update_cache"(%2, %61, %1) <{batch_offset = 0 : i32}> : (tensor<32x2x128x32xbf16>, tensor<1x2x32x32xbf16>, tensor<32xi32>) -> tensor<32x2x128x32xbf16>
	    %63 = "ttir.update_cache"(%3, %47, %1) <{batch_offset = 0 : i32}> : (tensor<32x2x128x32xbf16>, tensor<1x2x32x32xbf16>, tensor<32xi32>) -> tensor<32x2x128x32xbf16>
	    %64 = "ttir.permute"(%55) <{permutation = array<i64: 0, 2, 1, 3>}> : (tensor<1x4x32x32xbf16>) -> tensor<1x32x4x32xbf16>
	    %65 = "ttir.scaled_dot_product_attention_decode"(%64, %62, %63, %1) <{is_causal = true, scale = 0.176776692 : f32, operandSegmentSizes = array<i32: 1, 1, 1, 0, 1, 0>}> : (tensor<1x32x4x32xbf16>, tensor<32x2x128x32xbf16>, tensor<32x2x128x32xbf16>, tensor<32xi32>) -> tensor<1x32x4x32xbf16>
	    %66 = "ttir.reshape"(%65) <{shape = [1 : i32, 32 : i32, 128 : i32]}> : (tensor<1x32x4x32xbf16>) -> tensor<1x32x128xbf16>
	    %67 = "ttir.linear"(%66, %9) <{transpose_a = false, transpose_b = true}> : (tensor<1x32x128xbf16>, tensor<128x128xbf16>) -> tensor<1x32x128xbf16>
	    %68 = "ttir.add"(%33, %67) : (tensor<1x32x128xbf16>, tensor<1x32x128xbf16>) -> tensor<1x32x128xbf16>
	    %69 = "ttir.rms_norm"(%68, %16) <{normalized_shape = array<i64: 128>, epsilon = 1.000000e-06 : f32, operandSegmentSizes = array<i32: 1, 1, 0>}> : (tensor<1x32x128xbf16>, tensor<128xbf16>) -> tensor<1x32x128xbf16>
	    %70 = "ttir.linear"(%69, %12) <{transpose_a = false, transpose_b = true}> : (tensor<1x32x128xbf16>, tensor<192x128xbf16>) -> tensor<1x32x192xbf16>
	    %71 = "ttir.silu"(%70) : (tensor<1x32x192xbf16>) -> tensor<1x32x192xbf16>
	    %72 = "ttir.linear"(%69, %13) <{transpose_a = false, transpose_b = true}> : (tensor<1x32x128xbf16>, tensor<192x128xbf16>) -> tensor<1x32x192xbf16>
	    %73 = "ttir.multiply"(%71, %72) : (tensor<1x32x192xbf16>, tensor<1x32x192xbf16>) -> tensor<1x32x192xbf16>
	    %74 = "ttir.linear"(%73, %14) <{transpose_a = false, transpose_b = true}> : (tensor<1x32x192xbf16>, tensor<128x192xbf16>) -> tensor<1x32x128xbf16>
	    %75 = "ttir.add"(%68, %74) : (tensor<1x32x128xbf16>, tensor<1x32x128xbf16>) -> tensor<1x32x128xbf16>
	    %76 = "ttir.rms_norm"(%75, %20) <{normalized_shape = array<i64: 128>, epsilon = 1.000000e-06 : f32, operandSegmentSizes = array<i32: 1, 1, 0>}> : (tensor<1x32x128xbf16>, tensor<128xbf16>) -> tensor<1x32x128xbf16>
	    %77 = "ttir.linear"(%76, %21) <{transpose_a = false, transpose_b = true}> : (tensor<1x32x128xbf16>, tensor<128x128xbf16>) -> tensor<1x32x128xbf16>
	    %78 = "ttir.reshape"(%77) <{shape = [1 : i32, 32 : i32, 4 : i32, 32 : i32]}> : (tensor<1x32x128xbf16>) -> tensor<1x32x4x32xbf16>
	    %79 = "ttir.rms_norm"(%78, %22) <{normalized_shape = array<i64: 32>, epsilon = 1.000000e-06 : f32, operandSegmentSizes = array<i32: 1, 1, 0>}> : (tensor<1x32x4x32xbf16>, tensor<32xbf16>) -> tensor<1x32x4x32xbf16>
	    %80 = "ttir.permute"(%79) <{permutation = array<i64: 0, 2, 1, 3>}> : (tensor<1x32x4x32xbf16>) -> tensor<1x4x32x32xbf16>
	    %81 = "ttir.linear"(%76, %23) <{transpose_a = false, transpose_b = true}> : (tensor<1x32x128xbf16>, tensor<64x128xbf16>) -> tensor<1x32x64xbf16>
	    %82 = "ttir.reshape"(%81) <{shape = [1 : i32, 32 : i32, 2 : i32, 32 : i32]}> : (tensor<1x32x64xbf16>) -> tensor<1x32x2x32xbf16>
	    %83 = "ttir.rms_norm"(%82, %24) <{normalized_shape = array<i64: 32>, epsilon = 1.000000e-06 : f32, operandSegmentSizes = array<i32: 1, 1, 0>}> : (tensor<1x32x2x32xbf16>, tensor<32xbf16>) -> tensor<1x32x2x32xbf16>
	    %84 = "ttir.permute"(%83) <{permutation = array<i64: 0, 2, 1, 3>}> : (tensor<1x32x2x32xbf16>) -> tensor<1x2x32x32xbf16>
	    %85 = "ttir.linear"(%76, %25) <{transpose_a = false, transpose_b = true}> : (tensor<1x32x128xbf16>, tensor<64x128xbf16>) -> tensor<1x32x64xbf16>
	    %86 = "ttir.reshape"(%85) <{shape = [1 : i32, 32 : i32, 2 : i32, 32 : i32]}> : (tensor<1x32x64xbf16>) -> tensor<1x32x2x32xbf16>
	    %87 = "ttir.permute"(%86) <{permutation = array<i64: 0, 2, 1, 3>}> : (tensor<1x32x2x32xbf16>) -> tensor<1x2x32x32xbf16>
	    %88 = "ttir.reshape"(%34) <{shape = [1 : i32, 1 : i32, 32 : i32, 32 : i32]}> : (tensor<1x32x32xbf16>) -> tensor<1x1x32x32xbf16>
	    %89 = "ttir.reshape"(%35) <{shape = [1 : i32, 1 : i32, 32 : i32, 32 : i32]}> : (tensor<1x32x32xbf16>) -> tensor<1x1x32x32xbf16>
	    %90 = "ttir.multiply"(%80, %88) : (tensor<1x4x32x32xbf16>, tensor<1x1x32x32xbf16>) -> tensor<1x4x32x32xbf16>
	    %91 = "ttir.slice_static"(%80) <{begins = [0 : i32, 0 : i32, 0 : i32, 0 : i32], ends = [1 : i32, 4 : i32, 32 : i32, 16 : i32], step = [1 : i32, 1 : i32, 1 : i32, 1 : i32]}> : (tensor<1x4x32x32xbf16>) -> tensor<1x4x32x16xbf16>
	    %92 = "ttir.slice_static"(%80) <{begins = [0 : i32, 0 : i32, 0 : i32, 16 : i32], ends = [1 : i32, 4 : i32, 32 : i32, 32 : i32], step = [1 : i32, 1 : i32, 1 : i32, 1 : i32]}> : (tensor<1x4x32x32xbf16>) -> tensor<1x4x32x16xbf16>
	    %93 = "ttir.concat"(%92, %91) <{dim = 3 : si32}> : (tensor<1x4x32x16xbf16>, tensor<1x4x32x16xbf16>) -> tensor<1x4x32x32xbf16>
	    %94 = "ttir.multiply"(%93, %89) : (tensor<1x4x32x32xbf16>, tensor<1x1x32x32xbf16>) -> tensor<1x4x32x32xbf16>
	    %95 = "ttir.add"(%90, %94) : (tensor<1x4x32x32xbf16>, tensor<1x4x32x32xbf16>) -> tensor<1x4x32x32xbf16>
	    %96 = "ttir.multiply"(%84, %88) : (tensor<1x2x32x32xbf16>, tensor<1x1x32x32xbf16>) -> tensor<1x2x32x32xbf16>
	    %97 = "ttir.slice_static"(%84) <{begins = [0 : i32, 0 : i32, 0 : i32, 0 : i32], ends = [1 : i32, 2 : i32, 32 : i32, 16 : i32], step = [1 : i32, 1 : i32, 1 : i32, 1 : i32]}> : (tensor<1x2x32x32xbf16>) -> tensor<1x2x32x16xbf16>
	    %98 = "ttir.slice_static"(%84) <{begins = [0 : i32, 0 : i32, 0 : i32, 16 : i32], ends = [1 : i32, 2 : i32, 32 : i32, 32 : i32], step = [1 : i32, 1 : i32, 1 : i32, 1 : i32]}> : (tensor<1x2x32x32xbf16>) -> tensor<1x2x32x16xbf16>
	    %99 = "ttir.concat"(%98, %97) <{dim = 3 : si32}> : (tensor<1x2x32x16xbf16>, tensor<1x2x32x16xbf16>) -> tensor<1x2x32x32xbf16>
	    %100 = "ttir.multiply"(%99, %89) : (tensor<1x2x32x32xbf16>, tensor<1x1x32x32xbf16>) -> tensor<1x2x32x32xbf16>
	    %101 = "ttir.add"(%96, %100) : (tensor<1x2x32x32xbf16>, tensor<1x2x32x32xbf16>) -> tensor<1x2x32x32xbf16>
	    %102 = "ttir.update_cache"(%4, %101, %1) <{batch_offset = 0 : i32}> : (tensor<32x2x128x32xbf16>, tensor<1x2x32x32xbf16>, tensor<32xi32>) -> tensor<32x2x128x32xbf16>
	    %103 = "ttir.update_cache"(%5, %87, %1) <{batch_offset = 0 : i32}> : (tensor<32x2x128x32xbf16>, tensor<1x2x32x32xbf16>, tensor<32xi32>) -> tensor<32x2x128x32xbf16>
	    %104 = "ttir.permute"(%95) <{permutation = array<i64: 0, 2, 1, 3>}> : (tensor<1x4x32x32xbf16>) -> tensor<1x32x4x32xbf16>
	    %105 = "ttir.scaled_dot_product_attention_decode"(%104, %102, %103, %1) <{is_causal = true, scale = 0.176776692 : f32, operandSegmentSizes = array<i32: 1, 1, 1, 0, 1, 0>}> : (tensor<1x32x4x32xbf16>, tensor<32x2x128x32xbf16>, tensor<32x2x128x32xbf16>, tensor<32xi32>) -> tensor<1x32x4x32xbf16>
	    %106 = "ttir.reshape"(%105) <{shape = [1 : i32, 32 : i32, 128 : i32]}> : (tensor<1x32x4x32xbf16>) -> tensor<1x32x128xbf16>
	    %107 = "ttir.linear"(%106, %26) <{transpose_a = false, transpose_b = true}> : (tensor<1x32x128xbf16>, tensor<128x128xbf16>) -> tensor<1x32x128xbf16>
	    %108 = "ttir.add"(%75, %107) : (tensor<1x32x128xbf16>, tensor<1x32x128xbf16>) -> tensor<1x32x128xbf16>
	    %109 = "ttir.rms_norm"(%108, %27) <{normalized_shape = array<i64: 128>, epsilon = 1.000000e-06 : f32, operandSegmentSizes = array<i32: 1, 1, 0>}> : (tensor<1x32x128xbf16>, tensor<128xbf16>) -> tensor<1x32x128xbf16>
	    %110 = "ttir.linear"(%109, %28) <{transpose_a = false, transpose_b = true}> : (tensor<1x32x128xbf16>, tensor<192x128xbf16>) -> tensor<1x32x192xbf16>
	    %111 = "ttir.silu"(%110) : (tensor<1x32x192xbf16>) -> tensor<1x32x192xbf16>
	    %112 = "ttir.linear"(%109, %29) <{transpose_a = false, transpose_b = true}> : (tensor<1x32x128xbf16>, tensor<192x128xbf16>) -> tensor<1x32x192xbf16>
	    %113 = "ttir.multiply"(%111, %112) : (tensor<1x32x192xbf16>, tensor<1x32x192xbf16>) -> tensor<1x32x192xbf16>
	    %114 = "ttir.linear"(%113, %30) <{transpose_a = false, transpose_b = true}> : (tensor<1x32x192xbf16>, tensor<128x192xbf16>) -> tensor<1x32x128xbf16>
	    %115 = "ttir.add"(%108, %114) : (tensor<1x32x128xbf16>, tensor<1x32x128xbf16>) -> tensor<1x32x128xbf16>
	    %116 = "ttir.rms_norm"(%115, %17) <{normalized_shape = array<i64: 128>, epsilon = 1.000000e-06 : f32, operandSegmentSizes = array<i32: 1, 1, 0>}> : (tensor<1x32x128xbf16>, tensor<128xbf16>) -> tensor<1x32x128xbf16>
	    %117 = "ttir.linear"(%116, %18) <{transpose_a = false, transpose_b = true}> : (tensor<1x32x128xbf16>, tensor<320x128xbf16>) -> tensor<1x32x320xbf16>
	    %118 = "ttir.typecast"(%117) : (tensor<1x32x320xbf16>) -> tensor<1x32x320xf32>
	    func.return %118 : tensor<1x32x320xf32>
	  }
	  func.func @prefill(%0: tensor<1x64xi32> {ttcore.argument_type = #ttcore.argument_type<input>, ttir.name = "input_ids"}, %1: tensor<1xi32> {ttcore.argument_type = #ttcore.argument_type<input>, ttir.name = "last"}, %2: tensor<1xi32> {ttcore.argument_type = #ttcore.argument_type<input>, ttir.name = "user"}, %3: tensor<32x2x128x32xbf16> {ttcore.argument_type = #ttcore.argument_type<input>, ttcore.kv_cache, ttir.name = "layers.0.key_cache"}, %4: tensor<32x2x128x32xbf16> {ttcore.argument_type = #ttcore.argument_type<input>, ttcore.kv_cache, ttir.name = "layers.0.value_cache"}, %5: tensor<32x2x128x32xbf16> {ttcore.argument_type = #ttcore.argument_type<input>, ttcore.kv_cache, ttir.name = "layers.1.key_cache"}, %6: tensor<32x2x128x32xbf16> {ttcore.argument_type = #ttcore.argument_type<input>, ttcore.kv_cache, ttir.name = "layers.1.value_cache"}, %7: tensor<128x128xbf16> {ttcore.argument_type = #ttcore.argument_type<parameter>, ttir.name = "model.layers.0.self_attn.q_proj.weight"}, %8: tensor<64x128xbf16> {ttcore.argument_type = #ttcore.argument_type<parameter>, ttir.name = "model.layers.0.self_attn.k_proj.weight"}, %9: tensor<64x128xbf16> {ttcore.argument_type = #ttcore.argument_type<parameter>, ttir.name = "model.layers.0.self_attn.v_proj.weight"}, %10: tensor<128x128xbf16> {ttcore.argument_type = #ttcore.argument_type<parameter>, ttir.name = "model.layers.0.self_attn.o_proj.weight"}, %11: tensor<32xbf16> {ttcore.argument_type = #ttcore.argument_type<parameter>, ttir.name = "model.layers.0.self_attn.q_norm.weight"}, %12: tensor<32xbf16> {ttcore.argument_type = #ttcore.argument_type<parameter>, ttir.name = "model.layers.0.self_attn.k_norm.weight"}, %13: tensor<192x128xbf16> {ttcore.argument_type = #ttcore.argument_type<parameter>, ttir.name = "model.layers.0.mlp.gate_proj.weight"}, %14: tensor<192x128xbf16> {ttcore.argument_type = #ttcore.argument_type<parameter>, ttir.name = "model.layers.0.mlp.up_proj.weight"}, %15: tensor<128x192xbf16> {ttcore.argument_type = #ttcore.argument_type<parameter>, ttir.name = "model.layers.0.mlp.down_proj.weight"}, %16: tensor<128xbf16> {ttcore.argument_type = #ttcore.argument_type<parameter>, ttir.name = "model.layers.0.input_layernorm.weight"}, %17: tensor<128xbf16> {ttcore.argument_type = #ttcore.argument_type<parameter>, ttir.name = "model.layers.0.post_attention_layernorm.weight"}, %18: tensor<128xbf16> {ttcore.argument_type = #ttcore.argument_type<parameter>, ttir.name = "model.norm.weight"}, %19: tensor<320x128xbf16> {ttcore.argument_type = #ttcore.argument_type<parameter>, ttir.name = "model.embed_tokens.weight"}, %20: tensor<128xbf16> {ttcore.argument_type = #ttcore.argument_type<parameter>, ttir.name = "model.layers.1.input_layernorm.weight"}, %21: tensor<128x128xbf16> {ttcore.argument_type = #ttcore.argument_type<parameter>, ttir.name = "model.layers.1.self_attn.q_proj.weight"}, %22: tensor<32xbf16> {ttcore.argument_type = #ttcore.argument_type<parameter>, ttir.name = "model.layers.1.self_attn.q_norm.weight"}, %23: tensor<64x128xbf16> {ttcore.argument_type = #ttcore.argument_type<parameter>, ttir.name = "model.layers.1.self_attn.k_proj.weight"}, %24: tensor<32xbf16> {ttcore.argument_type = #ttcore.argument_type<parameter>, ttir.name = "model.layers.1.self_attn.k_norm.weight"}, %25: tensor<64x128xbf16> {ttcore.argument_type = #ttcore.argument_type<parameter>, ttir.name = "model.layers.1.self_attn.v_proj.weight"}, %26: tensor<128x128xbf16> {ttcore.argument_type = #ttcore.argument_type<parameter>, ttir.name = "model.layers.1.self_attn.o_proj.weight"}, %27: tensor<128xbf16> {ttcore.argument_type = #ttcore.argument_type<parameter>, ttir.name = "model.layers.1.post_attention_layernorm.weight"}, %28: tensor<192x128xbf16> {ttcore.argument_type = #ttcore.argument_type<parameter>, ttir.name = "model.layers.1.mlp.gate_proj.weight"}, %29: tensor<192x128xbf16> {ttcore.argument_type = #ttcore.argument_type<parameter>, ttir.name = "model.layers.1.mlp.up_proj.weight"}, %30: tensor<128x192xbf16> {ttcore.argument_type = #ttcore.argument_type<parameter>, ttir.name = "model.layers.1.mlp.down_proj.weight"}, %31: tensor<1x1x64x32xbf16> {ttcore.argument_type = #ttcore.argument_type<constant>, ttir.name = "model.rotary_emb.cos_2"}, %32: tensor<1x1x64x32xbf16> {ttcore.argument_type = #ttcore.argument_type<constant>, ttir.name = "model.rotary_emb.sin_signed_2"}) -> (tensor<1x1x320xf32> {ttir.name = "output"}) {
	    %33 = "ttir.embedding"(%0, %19) : (tensor<1x64xi32>, tensor<320x128xbf16>) -> tensor<1x64x128xbf16>
	    %34 = "ttir.rms_norm"(%33, %16) <{normalized_shape = array<i64: 128>, epsilon = 1.000000e-06 : f32, operandSegmentSizes = array<i32: 1, 1, 0>}> : (tensor<1x64x128xbf16>, tensor<128xbf16>) -> tensor<1x64x128xbf16>
	    %35 = "ttir.linear"(%34, %7) <{transpose_a = false, transpose_b = true}> : (tensor<1x64x128xbf16>, tensor<128x128xbf16>) -> tensor<1x64x128xbf16>
	    %36 = "ttir.reshape"(%35) <{shape = [1 : i32, 64 : i32, 4 : i32, 32 : i32]}> : (tensor<1x64x128xbf16>) -> tensor<1x64x4x32xbf16>
	    %37 = "ttir.rms_norm"(%36, %11) <{normalized_shape = array<i64: 32>, epsilon = 1.000000e-06 : f32, operandSegmentSizes = array<i32: 1, 1, 0>}> : (tensor<1x64x4x32xbf16>, tensor<32xbf16>) -> tensor<1x64x4x32xbf16>
	    %38 = "ttir.permute"(%37) <{permutation = array<i64: 0, 2, 1, 3>}> : (tensor<1x64x4x32xbf16>) -> tensor<1x4x64x32xbf16>
	    %39 = "ttir.linear"(%34, %8) <{transpose_a = false, transpose_b = true}> : (tensor<1x64x128xbf16>, tensor<64x128xbf16>) -> tensor<1x64x64xbf16>
	    %40 = "ttir.reshape"(%39) <{shape = [1 : i32, 64 : i32, 2 : i32, 32 : i32]}> : (tensor<1x64x64xbf16>) -> tensor<1x64x2x32xbf16>
	    %41 = "ttir.rms_norm"(%40, %12) <{normalized_shape = array<i64: 32>, epsilon = 1.000000e-06 : f32, operandSegmentSizes = array<i32: 1, 1, 0>}> : (tensor<1x64x2x32xbf16>, tensor<32xbf16>) -> tensor<1x64x2x32xbf16>
	    %42 = "ttir.permute"(%41) <{permutation = array<i64: 0, 2, 1, 3>}> : (tensor<1x64x2x32xbf16>) -> tensor<1x2x64x32xbf16>
	    %43 = "ttir.linear"(%34, %9) <{transpose_a = false, transpose_b = true}> : (tensor<1x64x128xbf16>, tensor<64x128xbf16>) -> tensor<1x64x64xbf16>
	    %44 = "ttir.reshape"(%43) <{shape = [1 : i32, 64 : i32, 2 : i32, 32 : i32]}> : (tensor<1x64x64xbf16>) -> tensor<1x64x2x32xbf16>
	    %45 = "ttir.permute"(%44) <{permutation = array<i64: 0, 2, 1, 3>}> : (tensor<1x64x2x32xbf16>) -> tensor<1x2x64x32xbf16>
	    %46 = "ttir.multiply"(%38, %31) : (tensor<1x4x64x32xbf16>, tensor<1x1x64x32xbf16>) -> tensor<1x4x64x32xbf16>
	    %47 = "ttir.slice_static"(%38) <{begins = [0 : i32, 0 : i32, 0 : i32, 0 : i32], ends = [1 : i32, 4 : i32, 64 : i32, 16 : i32], step = [1 : i32, 1 : i32, 1 : i32, 1 : i32]}> : (tensor<1x4x64x32xbf16>) -> tensor<1x4x64x16xbf16>
	    %48 = "ttir.slice_static"(%38) <{begins = [0 : i32, 0 : i32, 0 : i32, 16 : i32], ends = [1 : i32, 4 : i32, 64 : i32, 32 : i32], step = [1 : i32, 1 : i32, 1 : i32, 1 : i32]}> : (tensor<1x4x64x32xbf16>) -> tensor<1x4x64x16xbf16>
	    %49 = "ttir.concat"(%48, %47) <{dim = 3 : si32}> : (tensor<1x4x64x16xbf16>, tensor<1x4x64x16xbf16>) -> tensor<1x4x64x32xbf16>
	    %50 = "ttir.multiply"(%49, %32) : (tensor<1x4x64x32xbf16>, tensor<1x1x64x32xbf16>) -> tensor<1x4x64x32xbf16>
	    %51 = "ttir.add"(%46, %50) : (tensor<1x4x64x32xbf16>, tensor<1x4x64x32xbf16>) -> tensor<1x4x64x32xbf16>
	    %52 = "ttir.multiply"(%42, %31) : (tensor<1x2x64x32xbf16>, tensor<1x1x64x32xbf16>) -> tensor<1x2x64x32xbf16>
	    %53 = "ttir.slice_static"(%42) <{begins = [0 : i32, 0 : i32, 0 : i32, 0 : i32], ends = [1 : i32, 2 : i32, 64 : i32, 16 : i32], step = [1 : i32, 1 : i32, 1 : i32, 1 : i32]}> : (tensor<1x2x64x32xbf16>) -> tensor<1x2x64x16xbf16>
	    %54 = "ttir.slice_static"(%42) <{begins = [0 : i32, 0 : i32, 0 : i32, 16 : i32], ends = [1 : i32, 2 : i32, 64 : i32, 32 : i32], step = [1 : i32, 1 : i32, 1 : i32, 1 : i32]}> : (tensor<1x2x64x32xbf16>) -> tensor<1x2x64x16xbf16>
	    %55 = "ttir.concat"(%54, %53) <{dim = 3 : si32}> : (tensor<1x2x64x16xbf16>, tensor<1x2x64x16xbf16>) -> tensor<1x2x64x32xbf16>
	    %56 = "ttir.multiply"(%55, %32) : (tensor<1x2x64x32xbf16>, tensor<1x1x64x32xbf16>) -> tensor<1x2x64x32xbf16>
	    %57 = "ttir.add"(%52, %56) : (tensor<1x2x64x32xbf16>, tensor<1x2x64x32xbf16>) -> tensor<1x2x64x32xbf16>
	    %58 = "ttir.fill_cache"(%3, %57, %2) <{batch_offset = 0 : i32}> : (tensor<32x2x128x32xbf16>, tensor<1x2x64x32xbf16>, tensor<1xi32>) -> tensor<32x2x128x32xbf16>
	    %59 = "ttir.fill_cache"(%4, %45, %2) <{batch_offset = 0 : i32}> : (tensor<32x2x128x32xbf16>, tensor<1x2x64x32xbf16>, tensor<1xi32>) -> tensor<32x2x128x32xbf16>
	    %60 = "ttir.scaled_dot_product_attention"(%51, %57, %45) <{is_causal = true, scale = 0.176776692 : f32, operandSegmentSizes = array<i32: 1, 1, 1, 0, 0>}> : (tensor<1x4x64x32xbf16>, tensor<1x2x64x32xbf16>, tensor<1x2x64x32xbf16>) -> tensor<1x4x64x32xbf16>
	    %61 = "ttir.permute"(%60) <{permutation = array<i64: 0, 2, 1, 3>}> : (tensor<1x4x64x32xbf16>) -> tensor<1x64x4x32xbf16>
	    %62 = "ttir.reshape"(%61) <{shape = [1 : i32, 64 : i32, 128 : i32]}> : (tensor<1x64x4x32xbf16>) -> tensor<1x64x128xbf16>
	    %63 = "ttir.linear"(%62, %10) <{transpose_a = false, transpose_b = true}> : (tensor<1x64x128xbf16>, tensor<128x128xbf16>) -> tensor<1x64x128xbf16>
	    %64 = "ttir.add"(%33, %63) : (tensor<1x64x128xbf16>, tensor<1x64x128xbf16>) -> tensor<1x64x128xbf16>
	    %65 = "ttir.rms_norm"(%64, %17) <{normalized_shape = array<i64: 128>, epsilon = 1.000000e-06 : f32, operandSegmentSizes = array<i32: 1, 1, 0>}> : (tensor<1x64x128xbf16>, tensor<128xbf16>) -> tensor<1x64x128xbf16>
	    %66 = "ttir.linear"(%65, %13) <{transpose_a = false, transpose_b = true}> : (tensor<1x64x128xbf16>, tensor<192x128xbf16>) -> tensor<1x64x192xbf16>
	    %67 = "ttir.silu"(%66) : (tensor<1x64x192xbf16>) -> tensor<1x64x192xbf16>
	    %68 = "ttir.linear"(%65, %14) <{transpose_a = false, transpose_b = true}> : (tensor<1x64x128xbf16>, tensor<192x128xbf16>) -> tensor<1x64x192xbf16>
	    %69 = "ttir.multiply"(%67, %68) : (tensor<1x64x192xbf16>, tensor<1x64x192xbf16>) -> tensor<1x64x192xbf16>
	    %70 = "ttir.linear"(%69, %15) <{transpose_a = false, transpose_b = true}> : (tensor<1x64x192xbf16>, tensor<128x192xbf16>) -> tensor<1x64x128xbf16>
	    %71 = "ttir.add"(%64, %70) : (tensor<1x64x128xbf16>, tensor<1x64x128xbf16>) -> tensor<1x64x128xbf16>
	    %72 = "ttir.rms_norm"(%71, %20) <{normalized_shape = array<i64: 128>, epsilon = 1.000000e-06 : f32, operandSegmentSizes = array<i32: 1, 1, 0>}> : (tensor<1x64x128xbf16>, tensor<128xbf16>) -> tensor<1x64x128xbf16>
	    %73 = "ttir.linear"(%72, %21) <{transpose_a = false, transpose_b = true}> : (tensor<1x64x128xbf16>, tensor<128x128xbf16>) -> tensor<1x64x128xbf16>
	    %74 = "ttir.reshape"(%73) <{shape = [1 : i32, 64 : i32, 4 : i32, 32 : i32]}> : (tensor<1x64x128xbf16>) -> tensor<1x64x4x32xbf16>
	    %75 = "ttir.rms_norm"(%74, %22) <{normalized_shape = array<i64: 32>, epsilon = 1.000000e-06 : f32, operandSegmentSizes = array<i32: 1, 1, 0>}> : (tensor<1x64x4x32xbf16>, tensor<32xbf16>) -> tensor<1x64x4x32xbf16>
	    %76 = "ttir.permute"(%75) <{permutation = array<i64: 0, 2, 1, 3>}> : (tensor<1x64x4x32xbf16>) -> tensor<1x4x64x32xbf16>
	    %77 = "ttir.linear"(%72, %23) <{transpose_a = false, transpose_b = true}> : (tensor<1x64x128xbf16>, tensor<64x128xbf16>) -> tensor<1x64x64xbf16>
	    %78 = "ttir.reshape"(%77) <{shape = [1 : i32, 64 : i32, 2 : i32, 32 : i32]}> : (tensor<1x64x64xbf16>) -> tensor<1x64x2x32xbf16>
	    %79 = "ttir.rms_norm"(%78, %24) <{normalized_shape = array<i64: 32>, epsilon = 1.000000e-06 : f32, operandSegmentSizes = array<i32: 1, 1, 0>}> : (tensor<1x64x2x32xbf16>, tensor<32xbf16>) -> tensor<1x64x2x32xbf16>
	    %80 = "ttir.permute"(%79) <{permutation = array<i64: 0, 2, 1, 3>}> : (tensor<1x64x2x32xbf16>) -> tensor<1x2x64x32xbf16>
	    %81 = "ttir.linear"(%72, %25) <{transpose_a = false, transpose_b = true}> : (tensor<1x64x128xbf16>, tensor<64x128xbf16>) -> tensor<1x64x64xbf16>
	    %82 = "ttir.reshape"(%81) <{shape = [1 : i32, 64 : i32, 2 : i32, 32 : i32]}> : (tensor<1x64x64xbf16>) -> tensor<1x64x2x32xbf16>
	    %83 = "ttir.permute"(%82) <{permutation = array<i64: 0, 2, 1, 3>}> : (tensor<1x64x2x32xbf16>) -> tensor<1x2x64x32xbf16>
	    %84 = "ttir.multiply"(%76, %31) : (tensor<1x4x64x32xbf16>, tensor<1x1x64x32xbf16>) -> tensor<1x4x64x32xbf16>
	    %85 = "ttir.slice_static"(%76) <{begins = [0 : i32, 0 : i32, 0 : i32, 0 : i32], ends = [1 : i32, 4 : i32, 64 : i32, 16 : i32], step = [1 : i32, 1 : i32, 1 : i32, 1 : i32]}> : (tensor<1x4x64x32xbf16>) -> tensor<1x4x64x16xbf16>
	    %86 = "ttir.slice_static"(%76) <{begins = [0 : i32, 0 : i32, 0 : i32, 16 : i32], ends = [1 : i32, 4 : i32, 64 : i32, 32 : i32], step = [1 : i32, 1 : i32, 1 : i32, 1 : i32]}> : (tensor<1x4x64x32xbf16>) -> tensor<1x4x64x16xbf16>
	    %87 = "ttir.concat"(%86, %85) <{dim = 3 : si32}> : (tensor<1x4x64x16xbf16>, tensor<1x4x64x16xbf16>) -> tensor<1x4x64x32xbf16>
	    %88 = "ttir.multiply"(%87, %32) : (tensor<1x4x64x32xbf16>, tensor<1x1x64x32xbf16>) -> tensor<1x4x64x32xbf16>
	    %89 = "ttir.add"(%84, %88) : (tensor<1x4x64x32xbf16>, tensor<1x4x64x32xbf16>) -> tensor<1x4x64x32xbf16>
	    %90 = "ttir.multiply"(%80, %31) : (tensor<1x2x64x32xbf16>, tensor<1x1x64x32xbf16>) -> tensor<1x2x64x32xbf16>
	    %91 = "ttir.slice_static"(%80) <{begins = [0 : i32, 0 : i32, 0 : i32, 0 : i32], ends = [1 : i32, 2 : i32, 64 : i32, 16 : i32], step = [1 : i32, 1 : i32, 1 : i32, 1 : i32]}> : (tensor<1x2x64x32xbf16>) -> tensor<1x2x64x16xbf16>
	    %92 = "ttir.slice_static"(%80) <{begins = [0 : i32, 0 : i32, 0 : i32, 16 : i32], ends = [1 : i32, 2 : i32, 64 : i32, 32 : i32], step = [1 : i32, 1 : i32, 1 : i32, 1 : i32]}> : (tensor<1x2x64x32xbf16>) -> tensor<1x2x64x16xbf16>
	    %93 = "ttir.concat"(%92, %91) <{dim = 3 : si32}> : (tensor<1x2x64x16xbf16>, tensor<1x2x64x16xbf16>) -> tensor<1x2x64x32xbf16>
	    %94 = "ttir.multiply"(%93, %32) : (tensor<1x2x64x32xbf16>, tensor<1x1x64x32xbf16>) -> tensor<1x2x64x32xbf16>
	    %95 = "ttir.add"(%90, %94) : (tensor<1x2x64x32xbf16>, tensor<1x2x64x32xbf16>) -> tensor<1x2x64x32xbf16>
	    %96 = "ttir.fill_cache"(%5, %95, %2) <{batch_offset = 0 : i32}> : (tensor<32x2x128x32xbf16>, tensor<1x2x64x32xbf16>, tensor<1xi32>) -> tensor<32x2x128x32xbf16>
	    %97 = "ttir.fill_cache"(%6, %83, %2) <{batch_offset = 0 : i32}> : (tensor<32x2x128x32xbf16>, tensor<1x2x64x32xbf16>, tensor<1xi32>) -> tensor<32x2x128x32xbf16>
	    %98 = "ttir.scaled_dot_product_attention"(%89, %95, %83) <{is_causal = true, scale = 0.176776692 : f32, operandSegmentSizes = array<i32: 1, 1, 1, 0, 0>}> : (tensor<1x4x64x32xbf16>, tensor<1x2x64x32xbf16>, tensor<1x2x64x32xbf16>) -> tensor<1x4x64x32xbf16>
	    %99 = "ttir.permute"(%98) <{permutation = array<i64: 0, 2, 1, 3>}> : (tensor<1x4x64x32xbf16>) -> tensor<1x64x4x32xbf16>
	    %100 = "ttir.reshape"(%99) <{shape = [1 : i32, 64 : i32, 128 : i32]}> : (tensor<1x64x4x32xbf16>) -> tensor<1x64x128xbf16>
	    %101 = "ttir.linear"(%100, %26) <{transpose_a = false, transpose_b = true}> : (tensor<1x64x128xbf16>, tensor<128x128xbf16>) -> tensor<1x64x128xbf16>
	    %102 = "ttir.add"(%71, %101) : (tensor<1x64x128xbf16>, tensor<1x64x128xbf16>) -> tensor<1x64x128xbf16>
	    %103 = "ttir.rms_norm"(%102, %27) <{normalized_shape = array<i64: 128>, epsilon = 1.000000e-06 : f32, operandSegmentSizes = array<i32: 1, 1, 0>}> : (tensor<1x64x128xbf16>, tensor<128xbf16>) -> tensor<1x64x128xbf16>
	    %104 = "ttir.linear"(%103, %28) <{transpose_a = false, transpose_b = true}> : (tensor<1x64x128xbf16>, tensor<192x128xbf16>) -> tensor<1x64x192xbf16>
	    %105 = "ttir.silu"(%104) : (tensor<1x64x192xbf16>) -> tensor<1x64x192xbf16>
	    %106 = "ttir.linear"(%103, %29) <{transpose_a = false, transpose_b = true}> : (tensor<1x64x128xbf16>, tensor<192x128xbf16>) -> tensor<1x64x192xbf16>
	    %107 = "ttir.multiply"(%105, %106) : (tensor<1x64x192xbf16>, tensor<1x64x192xbf16>) -> tensor<1x64x192xbf16>
	    %108 = "ttir.linear"(%107, %30) <{transpose_a = false, transpose_b = true}> : (tensor<1x64x192xbf16>, tensor<128x192xbf16>) -> tensor<1x64x128xbf16>
	    %109 = "ttir.add"(%102, %108) : (tensor<1x64x128xbf16>, tensor<1x64x128xbf16>) -> tensor<1x64x128xbf16>
	    %110 = "ttir.reshape"(%109) <{shape = [64 : i32, 128 : i32]}> : (tensor<1x64x128xbf16>) -> tensor<64x128xbf16>
	    %111 = "ttir.embedding"(%1, %110) : (tensor<1xi32>, tensor<64x128xbf16>) -> tensor<1x128xbf16>
	    %112 = "ttir.rms_norm"(%111, %18) <{normalized_shape = array<i64: 128>, epsilon = 1.000000e-06 : f32, operandSegmentSizes = array<i32: 1, 1, 0>}> : (tensor<1x128xbf16>, tensor<128xbf16>) -> tensor<1x128xbf16>
	    %113 = "ttir.reshape"(%112) <{shape = [1 : i32, 1 : i32, 128 : i32]}> : (tensor<1x128xbf16>) -> tensor<1x1x128xbf16>
	    %114 = "ttir.linear"(%113, %19) <{transpose_a = false, transpose_b = true}> : (tensor<1x1x128xbf16>, tensor<320x128xbf16>) -> tensor<1x1x320xbf16>
	    %115 = "ttir.typecast"(%114) : (tensor<1x1x320xbf16>) -> tensor<1x1x320xf32>
	    func.return %115 : tensor<1x1x320xf32>
	  }
	}
)
