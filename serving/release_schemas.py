"""What the API tells of itself: which models are served, since when, and how that came about."""

from datetime import date, datetime
from typing import Literal

from pydantic import Field

from ml.evaluation import Metric
from serving.schemas import Answer

UseCase = Literal["segmentation", "tariff_matching", "credit_risk"]

_USE_CASE = Field(description="Use case / 业务场景", examples=["credit_risk"])
_RELEASE = Field(
    description="Release, as in the header `Kilowise-Release` / 发布名称", examples=["0003-202608-1a2b3c4d5e"]
)
_MODEL_VERSION = Field(description="Bundle in that release / 模型版本", examples=["202608-1a2b3c4d5e"])
_REQUEST_ID = Field(description="Quote it when you ask for help / 请求编号")
_MISSING = Field(description="Use cases without a release / 尚无发布的业务场景")
_CARD = Field(
    description="Path of the model card: data, figures, plots, limits / 模型卡路径",
    examples=["/v1/models/credit_risk/card"],
)


class MetricFigure(Answer):
    """One figure of the model's evaluation on months that it was not trained on."""

    name: str = Field(description="Figure / 指标", examples=["roc_auc"])
    value: float | None = Field(description="Point estimate; null when it cannot be computed / 数值")
    lower: float | None = Field(default=None, description="Lower end of its 95 % interval / 区间下限")
    upper: float | None = Field(default=None, description="Upper end of its 95 % interval / 区间上限")
    higher_is_better: bool | None = Field(
        default=None, description="Direction; null for a figure without one / 是否越高越好"
    )
    unit: str = Field(default="", description="Unit of the figures; empty for ratios / 单位")
    rows: int | None = Field(default=None, description="Rows behind the figure / 样本数")
    slice_column: str | None = Field(default=None, description="Column by which the rows were restricted / 分组列")
    slice_value: str | None = Field(default=None, description="Value of that column / 分组值")
    note: str = Field(default="", description="Why the figure is missing, or what a reader must know / 说明")


class ServedRelease(Answer):
    """A release as it is served now."""

    use_case: UseCase = _USE_CASE
    release: str = _RELEASE
    model_version: str = _MODEL_VERSION
    released_at: datetime = Field(description="When it was made / 发布时间")
    served_since: datetime = Field(
        description="Since when it answers: later than released_at after a rollback to it / 生效时间"
    )
    approved_by: str = Field(description="Person or policy that let it out / 批准人")
    marts_version: str = Field(description="Marts that its features were taken from / 数据集市版本")
    features_as_of_month: date | None = Field(
        description="Month at whose end its customers' features were known: how fresh answers by id are / 特征月份"
    )
    customers_count: int = Field(ge=0, description="Customers that it knows by id / 客户数")
    metrics: list[MetricFigure] = Field(description="Figures of its evaluation / 评估指标")
    card: str = _CARD


class ReleaseEvent(Answer):
    """One change of what is served."""

    use_case: UseCase = _USE_CASE
    at: datetime = Field(description="When / 时间")
    action: str = Field(description="`publish` or `rollback` / 动作", examples=["publish"])
    from_release: str | None = Field(description="What was served before; null for the first / 变更前发布")
    to_release: str = Field(description="What is served since / 变更后发布")
    by: str = Field(description="Person, policy or job / 操作者")
    reason: str = Field(description="Why / 原因")


class ServedReleases(Answer):
    """What is served now, and how it came about."""

    request_id: str = _REQUEST_ID
    releases: list[ServedRelease] = Field(description="One per use case that has a release / 在线发布")
    missing: list[UseCase] = _MISSING
    history: list[ReleaseEvent] = Field(
        description="Changes, the newest first, at most 100 per use case; rollbacks are among them / 变更历史"
    )


class ModelColumn(Answer):
    """One column that a model reads or answers."""

    name: str = Field(description="Name in requests, answers, logs and reports / 字段名", examples=["annual_kwh"])
    kind: Literal["numeric", "categorical", "boolean"] = Field(description="Kind of its values / 类型")
    unit: str = Field(description="Unit; empty for ratios, counts and categories / 单位", examples=["kWh"])
    minimum: float | None = Field(description="Smallest accepted value; null without one / 最小值")
    maximum: float | None = Field(description="Largest accepted value; null without one / 最大值")
    allowed: list[str] | None = Field(description="Accepted categories; null for any / 可取值")
    is_required: bool = Field(description="Whether it must be known / 是否必填")
    description: str = Field(description="What a value means / 含义（英文）")
    description_zh: str = Field(description="The same in Chinese / 含义")


class ReviewVerdict(Answer):
    """What the latest monthly review said of the release."""

    outcome: Literal["stable", "watch", "act", "not_enough_data"] = Field(
        description="Verdict; `act` means that decisions are affected or an input is broken / 结论", examples=["stable"]
    )
    month: date = Field(description="Month that was reviewed / 评审月份")
    sentence: str = Field(description="The verdict with its first reason / 结论说明（英文）")
    sentence_zh: str = Field(description="The same in Chinese / 结论说明")
    silenced_until: date | None = Field(
        description="Last day on which the model's owner keeps findings behind it quiet; null if none / 静默截止日"
    )
    reviewed_at: datetime = Field(description="When the review was made / 评审时间")


class ServedModel(Answer):
    """The model of one use case, as it answers now."""

    use_case: UseCase = _USE_CASE
    path: str = Field(description="Where it answers / 接口路径", examples=["/v1/credit_risk/score"])
    release: str = _RELEASE
    model_version: str = _MODEL_VERSION
    training_first_month: date = Field(description="First month behind the model / 训练起始月")
    training_last_month: date = Field(description="Last month behind the model / 训练截止月")
    training_data_fingerprint: str = Field(description="Hash of the training data / 训练数据指纹")
    key_metric: MetricFigure = Field(description="The figure by which models of this use case are compared / 关键指标")
    metrics: list[MetricFigure] = Field(description="Figures of its evaluation / 评估指标")
    features: list[ModelColumn] = Field(description="What it reads: the fields of `features` in a request / 特征")
    predictions: list[ModelColumn] = Field(description="What it answers in `prediction` / 预测结果")
    verdict: ReviewVerdict | None = Field(
        description="Latest drift review of this release; null before the first / 最近一次评审结论"
    )
    card: str = _CARD


class ServedModels(Answer):
    """The models that answer now."""

    request_id: str = _REQUEST_ID
    models: list[ServedModel] = Field(description="One per use case that has a release / 在线模型")
    missing: list[UseCase] = _MISSING


def metric_figure(metric: Metric) -> MetricFigure:
    """Return a figure of an evaluation as the API answers it."""
    return MetricFigure.model_validate(metric.model_dump())
