"""Texts of the segmentation's model card."""

from collections.abc import Sequence

from ml.evaluation import EvaluationTable
from ml.model_card import CardFigure, ModelCard
from ml.segmentation.model import Segment
from ml.wording import Bilingual

MODEL_CARD = ModelCard(
    title=Bilingual(en="Customer segmentation by load shape", zh="按负荷形态的客户分群"),
    purpose=Bilingual(
        en="Says which customers use electricity at the same times, gives each group a lasting name, and tells what to "
        "do for it. Beside it stand tiers of value, loyalty, payment, channel and life cycle, and how likely "
        "a customer leaves or joins a programme, where the data supports it.",
        zh="识别用电时间相近的客户，给出稳定的客群名称与服务建议；并给出价值、忠诚度、缴费、渠道与生命周期分层，"
        "数据充分时另给出流失与增值潜力概率。",
    ),
    key_figure=Bilingual(
        en="Share of the variance of later load shapes that is explained by the segment found earlier; 0 is no better "
        "than one mean shape per group.",
        zh="先前所得客群对之后负荷形态方差的解释比例；0 表示不优于总体平均曲线。",
    ),
    intended_uses=(
        Bilingual(
            en="Choosing whom to invite to demand response, advice and tariff checks",
            zh="筛选需求响应、节能与电价测算对象",
        ),
        Bilingual(en="Reporting by group of customers over months", zh="按客群跟踪月度变化"),
    ),
    excluded_uses=(
        Bilingual(en="Decisions about one person's credit, supply or price", zh="不得用于个人信用、停电或定价决定"),
        Bilingual(en="Detecting theft or abnormal use", zh="不得用于窃电或异常用电认定"),
    ),
    method=(
        Bilingual(
            en="Shapes: 24 working-day and 24 weekend hours of the trailing year, divided by the day's mean and "
            "capped; how summer and winter move the use between six blocks of the day; how seasons and rest days "
            "differ in level, relative to the customer's own. Each number counts about as much as it moves the load "
            "over the year. Residential and business apart, and customers with daily readings only (by levels alone) "
            "apart from both.",
            zh="形态：近一年工作日与休息日各 24 小时，除以日均并设上限；夏、冬季较春秋季在六个时段间的转移；"
            "各季节、休息日相对自身水平的差异。各项按其对全年负荷的影响加权。居民与企业分开，仅有日冻结电量的客户另行分群。",
        ),
        Bilingual(
            en="k-means, Ward's hierarchy and a Gaussian mixture on principal components, each with every number of "
            "segments. Among divisions that half of the customers reproduce (adjusted Rand index) and that have no "
            "tiny segment, half of the score is silhouette, Davies-Bouldin and Calinski-Harabasz, half how far the "
            "segments differ in price per kWh and in contribution to the system's peak. Whatever the method, a "
            "customer belongs to the nearest centre.",
            zh="比较 k 均值、Ward 层次聚类与主成分上的高斯混合模型及各客群数量；在半样本可复现且无过小客群的方案中，"
            "三项统计指标占一半，客群间度电均价与系统峰荷贡献的差异占一半。无论何种方法，客户均归入最近的中心。",
        ),
        Bilingual(
            en="Identifiers follow the customers: a new segment takes that of the released one with which it has most "
            "customers in common (Hungarian method). A name stays while its tags hold within their tolerance; splits "
            "and merges are told.",
            zh="编号随客户延续：以匈牙利算法按共同客户匹配新旧客群；标签在容差内成立则名称不变；拆分与合并均予说明。",
        ),
        Bilingual(
            en="Value: quantiles within the class of a year's margin, or amount billed, with its growth. Stage: first "
            "matching rule of closed, leaving, new, returned, at risk (energy halved, or weeks without any), growing, "
            "shrinking, stable; a trend counts once two months running show it. Loyalty: points.",
            zh="价值：按类别内年毛利（或电费）乘以增长的分位；阶段：依次按销户、将销户、新户、复装、流失风险、增长、萎缩、"
            "平稳规则判定，趋势连续两月方生效；忠诚度：按积分。",
        ),
        Bilingual(
            en="Leaving and joining a programme within three months: logistic regression or boosted trees, calibrated, "
            "held out by time and customer; left out, with the reason, unless better than what needs no model.",
            zh="三个月内流失与开通增值服务：逻辑回归或提升树，经校准，按时间与客户留出检验；未优于简单方法则不给出并说明原因。",
        ),
    ),
    data=(
        Bilingual(
            en="One row per customer and as-of month from customer_segmentation_features, as known at that time. "
            "Customers with too few days or no use take no part in finding centres.",
            zh="客户×截止月特征表，仅含当时已知数据；天数不足或零用电客户不参与建模。",
        ),
    ),
    limits=(
        Bilingual(
            en="A segment is a tendency: see the confidence of each assignment, and the runner-up.",
            zh="客群代表倾向：请参看归属置信度与次近客群。",
        ),
        Bilingual(
            en="Mean shapes hide how much single days differ; a household that alternates looks flat.",
            zh="平均曲线掩盖日间差异，作息交替的客户看似平稳。",
        ),
        Bilingual(
            en="Names come from rules with fixed limits; read the description and the curve too.",
            zh="名称由固定规则生成，应结合描述与曲线理解。",
        ),
    ),
    figures=(
        CardFigure(
            plot="shapes_residential.png",
            title=Bilingual(en="Residential segments", zh="居民客群形态"),
            caption=Bilingual(
                en="Line: centre. Band: middle 80 % of the members. Left working day, right weekend.",
                zh="曲线为中心，色带为中间 80% 成员；左为工作日，右为休息日。",
            ),
            is_wide=True,
        ),
        CardFigure(
            plot="shapes_business.png",
            title=Bilingual(en="Business segments", zh="企业客群形态"),
            caption=Bilingual(
                en="Line: centre. Band: middle 80 % of the members. Left working day, right weekend.",
                zh="曲线为中心，色带为中间 80% 成员；左为工作日，右为休息日。",
            ),
            is_wide=True,
        ),
        CardFigure(
            plot="segment_sizes.png",
            title=Bilingual(en="Sizes", zh="客群规模"),
            caption=Bilingual(en="Blue: residential. Orange: business.", zh="蓝：居民；橙：企业。"),
        ),
        CardFigure(
            plot="choice_of_k.png",
            title=Bilingual(en="Why this method and number of segments", zh="方法与客群数量的依据"),
            caption=Bilingual(
                en="By method. Shaded: chosen number. Dashed: stability below which nothing is released.",
                zh="按方法比较；阴影为选定数量，虚线为最低稳定性。",
            ),
        ),
    ),
)


def advice_tables(segments: Sequence[Segment]) -> tuple[EvaluationTable, EvaluationTable]:
    """Return what marks every segment, what to offer and what to avoid, in English and in Chinese."""
    return (
        EvaluationTable(
            name="advice",
            title="What marks each segment, what to offer, what to avoid",
            columns=("id", "name", "marks", "offer", "avoid"),
            rows=tuple((one.segment_id, one.name, one.description, one.offer, one.avoid) for one in segments),
        ),
        EvaluationTable(
            name="advice_zh",
            title="各客群的特征与服务建议",
            columns=("编号", "名称", "特征", "推荐", "避免"),
            rows=tuple(
                (one.segment_id, one.name_zh, one.description_zh, one.offer_zh, one.avoid_zh) for one in segments
            ),
        ),
    )
