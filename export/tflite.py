"""TFLite files: from a SavedModel to float32, and from there to each of the recipes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from edge_runtime.errors import TmgcError
from edge_runtime.interpreters import ModelInput
from export.frontend import SCOPE
from export.recipes import DYNAMIC, FLOAT16, INT8, GraphOptions, Recipe, kept_float
from train.libraries import library

_SIGNATURE = "serving_default"


def convert(saved_model: Path, destination: Path) -> None:
    """Convert a SavedModel to a float32 TFLite file of builtin operators only.

    Raises
    ------
    TmgcError
        The network needs operators that a bare interpreter does not have; the message names them.
    """
    tensorflow = library("tensorflow", extra="export")
    converter = tensorflow.lite.TFLiteConverter.from_saved_model(str(saved_model))
    converter.target_spec.supported_ops = [tensorflow.lite.OpsSet.TFLITE_BUILTINS]
    try:
        destination.write_bytes(converter.convert())
    except Exception as error:  # the converter's own class of errors is not public
        foreign = foreign_operators(str(error))
        if not foreign:
            raise
        raise TmgcError(
            f"a TFLite file may hold builtin operators only, this network needs {', '.join(foreign)}: replace the "
            "layers that use them and train again"
        ) from error


def foreign_operators(message: str) -> list[str]:
    """Names of the operators that the converter says it has no builtin for."""
    named = re.findall(r"(?:Flex|Custom) ops: ([\w, ]+)", message)
    if named:
        return sorted({name.strip() for names in named for name in names.split(",")})
    return sorted(set(re.findall(r"\btf\.\w+(?= op is neither)|'(tf\.\w+)' op", message)))


def quantize(
    float_file: Path,
    recipe: Recipe,
    calibration: ModelInput,
    destination: Path,
    options: GraphOptions = GraphOptions(),
) -> None:
    """Quantise a float32 TFLite file. Its input and its output stay as they are, and so does its spectrogram.

    The softmax stays in float, since 256 steps are too few for probabilities, and so does the first convolution: the
    converter folds the scaling of the pixels into it, which leaves weights that round badly. On one trained
    InceptionResNetV2 that took the mean error of float16 to a third, for 0.01 % of the weights and no time that could
    be measured. In dynamic and static int8 it helped on one split and not on another: it stays float there for the sake
    of one rule.

    Parameters
    ----------
    float_file : Path
    recipe : Recipe
        Not float32.
    calibration : np.ndarray [shape=(n, ...)]
        Of what the file takes; used by static int8 only.
    destination : Path
    options : GraphOptions

    Raises
    ------
    TmgcError
        A pattern of ``keep_float`` fits no operator.
    """
    litert_recipe = _litert_recipe(recipe, float_file, options)
    quantizer = library("litert_quantizer.quantizer", extra="export").Quantizer(str(float_file), litert_recipe)
    ranges = None
    if recipe.calibrated:
        samples = [{options.input_kind: taken[np.newaxis]} for taken in calibration]
        ranges = quantizer.calibrate({_SIGNATURE: samples}, num_threads=2)
    result = quantizer.quantize(ranges, enable_progress_bar=False, enable_progress_report=False)
    destination.write_bytes(result.quantized_model)


def _litert_recipe(recipe: Recipe, float_file: Path, options: GraphOptions) -> Any:
    manager = library("litert_quantizer.recipe_manager", extra="export").RecipeManager()
    build = {FLOAT16.name: _add_float16, DYNAMIC.name: _add_dynamic, INT8.name: _add_static}[recipe.name]
    build(manager)
    types = library("litert_quantizer.qtyping", extra="export").TFLOperationName
    nothing = library("litert_quantizer.algorithm_manager", extra="export").AlgorithmName.NO_QUANTIZE
    scopes = _scopes(float_file)
    if first := next((scope for scope, is_convolution in scopes if is_convolution), None):
        manager.add_quantization_config(re.escape(first), types.CONV_2D, None, nothing)
    kept_float(options.keep_float, [scope for scope, _ in scopes])
    for pattern in (f"^{SCOPE}/", *options.keep_float):
        manager.add_quantization_config(pattern, types.ALL_SUPPORTED, None, nothing)
    return manager.get_quantization_recipe()


def _scopes(float_file: Path) -> list[tuple[str, bool]]:
    """The name that litert-quantizer knows each operator by, and whether it is a convolution."""
    schema = library("ai_edge_litert.schema_py_generated", extra="export")
    scope_of = library("litert_quantizer.utils.tfl_flatbuffer_utils", extra="export").get_op_scope
    model = schema.ModelT.InitFromPackedBuf(float_file.read_bytes())
    graph = model.subgraphs[0]
    convolution = schema.BuiltinOperator.CONV_2D
    return [
        (scope_of(operator, graph.tensors), model.operatorCodes[operator.opcodeIndex].builtinCode == convolution)
        for operator in graph.operators
    ]


def _add_float16(manager: Any) -> None:
    types = library("litert_quantizer.qtyping", extra="export").TFLOperationName
    casting = library("litert_quantizer.algorithm_manager", extra="export").AlgorithmName.FLOAT_CASTING
    for operator in (types.CONV_2D, types.DEPTHWISE_CONV_2D, types.FULLY_CONNECTED):
        manager.add_weight_only_config(".*", operator, 16, algorithm_key=casting)


def _add_dynamic(manager: Any) -> None:
    types = library("litert_quantizer.qtyping", extra="export").TFLOperationName
    manager.add_dynamic_config(".*", types.ALL_SUPPORTED, 8)


def _add_static(manager: Any) -> None:
    types = library("litert_quantizer.qtyping", extra="export").TFLOperationName
    nothing = library("litert_quantizer.algorithm_manager", extra="export").AlgorithmName.NO_QUANTIZE
    manager.add_static_config(".*", types.ALL_SUPPORTED, activation_num_bits=8, weight_num_bits=8)
    for operator in (types.INPUT, types.OUTPUT, types.SOFTMAX):
        manager.add_quantization_config(".*", operator, None, nothing)
