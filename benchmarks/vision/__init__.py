"""Models of timm and torchvision, extracted under an interpreter that has them."""

from benchmarks.peers.worker import Worker
from benchmarks.tables import Table, ms

NAMES = (
    *(f"timm:{name}" for name in (
        "resnet18", "vit_tiny_patch16_224", "convnext_atto", "swin_tiny_patch4_window7_224",
        "efficientnet_b0",
    )),
    *(f"torchvision:{name}" for name in (
        "resnet18", "resnet50", "mobilenet_v3_small", "vit_b_16", "swin_t",
        "detection.fasterrcnn_mobilenet_v3_large_fpn",
    )),
)  # fmt: skip
_LIMIT_S = 240.0


def table(python: str, names: list[str]) -> Table:
    """What is extracted of each, and how its costs compare with torch's own counts."""
    worker = Worker(python, "benchmarks.vision.run")
    rows = []
    for name in names:
        found = worker.ask(model=name, limit_s=_LIMIT_S)
        if "seconds" not in found:
            rows.append((name, "no: " + str(found["error"])[:90], "", "", "", "", ""))
            continue
        leaves = f"{found['entered']} of {found['leaves']}"
        own, right = found["parameters"], found["true_parameters"]
        counted, flops = found["macs"], found.get("true_macs")
        share = f"{100 * (counted / flops - 1):+.3f} %" if flops else "–"
        rows.append(
            (
                name,
                "yes" if found["problem"] is None else found["problem"][:90],
                ms(found["seconds"]),
                leaves,
                str(found["opaque"]),
                f"{own:,}" + ("" if own == right else f", not {right:,}"),
                f"{counted / 1e6:,.1f} M, {share}",
            )
        )
    worker.stop()
    promise = (
        "Parameters exact; MACs within 0.1 % of torch.utils.flop_counter, attention counted by its plain "
        "products. One image of 224 × 224, random weights. Times are of the first extraction."
    )
    columns = (
        "model",
        "extracted",
        "time",
        "leaf calls with an edge",
        "opaque",
        "parameters",
        "MACs, off by",
    )
    return Table("timm and torchvision", promise, columns, tuple(rows))
