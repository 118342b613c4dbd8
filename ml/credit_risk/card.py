"""Texts of the credit-risk model card."""

from ml.credit_risk.config import CreditRiskConfig
from ml.credit_risk.labels import Cut, LabelledRows
from ml.credit_risk.model import CreditRiskModel
from ml.model_card import CardFigure, Importance, ModelCard
from ml.wording import Bilingual, exclusion_title


def credit_model_card(
    labelled: LabelledRows,
    made: Cut,
    config: CreditRiskConfig,
    model: CreditRiskModel,
    importances: list[tuple[str, float]],
) -> ModelCard:
    """Return the texts of the card of one trained model."""
    words = {"train": ("to train", "训练"), "holdout": ("held out", "留出")}
    used = ", ".join(f"{len(rows):,} {words[part][0]}" for part, rows in made.parts.items())
    used_zh = "，".join(f"{words[part][1]} {len(rows):,}" for part, rows in made.parts.items())
    reasons = [(count, exclusion_title(reason)) for reason, count in labelled.excluded.items()]
    excluded = ", ".join(f"{count:,} {title.en}" for count, title in reasons) or "none"
    excluded_zh = "，".join(f"{title.zh} {count:,}" for count, title in reasons) or "无"
    return ModelCard(
        title=Bilingual(en="Credit risk of electricity customers", zh="电力客户信用风险"),
        purpose=Bilingual(
            en="Gives, at each month's end, the probability that a bill of the customer stays unpaid past its due date "
            "for the agreed number of days within the outcome window, with points, a rating and the reasons in words.",
            zh="每月末给出客户在观察期内电费逾期达到约定天数的概率，并附信用分、信用等级与中英文原因。",
        ),
        key_figure=Bilingual(
            en="AUC: how often the model ranks a customer who will default above one who will not. 0.5 is chance, "
            "1 is perfect.",
            zh="AUC：将会违约的客户排在不会违约的客户之前的概率；0.5 为随机，1 为完美。",
        ),
        intended_uses=(
            Bilingual(en="Order reminders and visits by expected loss.", zh="按预期损失安排催费与走访。"),
            Bilingual(
                en="Offer instalments or prepayment early to customers whose risk rises.",
                zh="对风险上升的客户尽早提供分期或预付费方案。",
            ),
            Bilingual(en="Estimate the overdue balance of the coming months.", zh="测算未来数月欠费规模。"),
        ),
        excluded_uses=(
            Bilingual(
                en="No disconnection, deposit or listing from the score alone: a person decides, by the policy, and "
                "the customer can contest it.",
                zh="不得仅凭评分停电、收取保证金或列入名单；须由人按制度决定，客户有权申诉。",
            ),
            Bilingual(en="Not for credit outside electricity supply.", zh="不得用于供电业务以外的授信。"),
        ),
        method=(
            Bilingual(
                en="Features of a snapshot use only what was known at that instant: by date of the event and by "
                "date of delivery.",
                zh="特征只使用评估时点已知的数据（按发生时间与到达时间双重限制）。",
            ),
            *_method(model, config),
            Bilingual(
                en=f"Points: {config.base_points:.0f} at odds of {config.base_odds:.0f} to 1, "
                f"{config.points_to_double_odds:.0f} points double the odds. Reasons are the exact contributions to "
                "the log odds; only what raises the risk is named.",
                zh=f"信用分：好坏比 {config.base_odds:.0f}:1 时为 {config.base_points:.0f} 分，每 "
                f"{config.points_to_double_odds:.0f} 分好坏比翻倍；原因取自模型对数几率的精确贡献值。",
            ),
        ),
        data=(
            Bilingual(
                en=f"{len(labelled.rows):,} customer-month snapshots with known outcome over {len(labelled.months)} "
                f"months, of which {used}.",
                zh=f"{len(labelled.months)} 个月共 {len(labelled.rows):,} 条已知结果的样本，其中{used_zh}。",
            ),
            Bilingual(
                en=f"Left out: {labelled.immature:,} snapshots whose outcome is not known yet; excluded: {excluded}.",
                zh=f"未使用：结果未到期 {labelled.immature:,} 条；剔除：{excluded_zh}。",
            ),
        ),
        limits=(
            Bilingual(
                en="Learns from the past: a sudden change of the economy or of collection practice shows only when "
                "outcomes mature. Watch the drift report.",
                zh="模型来自历史：经济或催收方式突变须待结果到期后才能显现，请关注漂移报告。",
            ),
            Bilingual(
                en="Customers with few bills are rated mostly by what similar customers did; their probability is less "
                "certain than the number suggests.",
                zh="账单较少的客户主要依据相似客户判断，不确定性更大。",
            ),
            Bilingual(
                en="Sex, age, marital status and names are never inputs; differences by class and district are shown "
                "below and limited by the gate.",
                zh="性别、年龄、婚姻状况与姓名从不作为输入；各类别、各区域的差异见下文并受发布门槛限制。",
            ),
        ),
        figures=(
            CardFigure(
                plot="ranking.png",
                title=Bilingual(en="Ranking", zh="排序能力"),
                caption=Bilingual(
                    en="The higher the blue line above the others, the more defaults are caught for the same effort.",
                    zh="蓝线越高，同样工作量下发现的违约越多。",
                ),
                is_wide=True,
            ),
            CardFigure(
                plot="reliability.png",
                title=Bilingual(en="Calibration", zh="校准"),
                caption=Bilingual(
                    en="Dots on the dotted line: of customers given 10 %, ten in a hundred default.",
                    zh="点落在虚线上：预测 10% 的客户中约有一成违约。",
                ),
                is_wide=True,
            ),
            CardFigure(
                plot="ratings.png",
                title=Bilingual(en="Ratings", zh="信用等级"),
                caption=Bilingual(
                    en="How many customers each rating holds, and how many of them defaulted.",
                    zh="各等级客户数量与实际违约率。",
                ),
                is_wide=True,
            ),
            CardFigure(
                plot="effects.png",
                title=Bilingual(en="Reasons", zh="影响因素"),
                caption=Bilingual(
                    en="Exact contributions of the strongest inputs on hold-out snapshots.",
                    zh="主要指标对留出样本评分的精确贡献。",
                ),
                is_wide=True,
            ),
        ),
        importances=tuple(Importance(column=name, share=share) for name, share in importances),
        currency=config.currency,
    )


def _method(model: CreditRiskModel, config: CreditRiskConfig) -> tuple[Bilingual, Bilingual]:
    """Return how the model that answers works and how it is calibrated."""
    calibrator = model.settings.calibrator
    if calibrator is None:
        card = model.scorecard
        count = len(card.characteristics)
        return (
            Bilingual(
                en=f"A scorecard of {count} columns: monotone bins, weights of evidence, a logistic regression with a "
                "ridge penalty, and whole points that a person can add up; missing and unseen values have lines of "
                "their own.",
                zh=f"{count} 项指标的评分卡：单调分箱、证据权重、岭惩罚逻辑回归，整数分值可手工相加；"
                "缺失值与未见值各有单独分档。",
            ),
            Bilingual(
                en="Points are scaled on snapshots that were scored without knowledge of their customer, so they are "
                "probabilities too.",
                zh="分值刻度在未见过该客户的评分上校准，因此分值即对应概率。",
            ),
        )
    method, method_zh = {
        "isotonic": ("isotonic regression", "保序回归"),
        "beta": ("beta calibration", "贝塔校准"),
        "shift": ("a shift of the log odds", "对数几率平移"),
        "none": ("nothing, because the slice holds one outcome only", "未校准（样本仅含一种结果）"),
    }[calibrator.method]
    depth = max(config.booster.depths)
    return (
        Bilingual(
            en=f"Gradient-boosted trees (depth at most {depth}) with monotone constraints: more late bills can never "
            "lower the risk, a longer record can never raise it. A readable scorecard stands beside them.",
            zh=f"带单调约束的梯度提升树（深度不超过 {depth}）：逾期越多，风险只升不降；另附可手工复核的评分卡。",
        ),
        Bilingual(
            en=f"Calibrated by {method} on {calibrator.rows:,} snapshots, each scored by trees that did not see its "
            "customer.",
            zh=f"以{method_zh}在 {calibrator.rows:,} 条样本上校准，每条样本均由未见过该客户的模型评分。",
        ),
    )
