"""Texts of the tariff matcher's model card."""

from ml.model_card import CardFigure, ModelCard
from ml.wording import Bilingual

MODEL_CARD = ModelCard(
    title=Bilingual(en="Tariff advice", zh="电价方案匹配"),
    purpose=Bilingual(
        en="Says for every customer which tariff and options are expected to cost least over the next year, how much a "
        "change saves with an interval, and to stay when the evidence is weak.",
        zh="为每位客户给出未来一年预计费用最低的电价与选项、节省额及其区间；证据不足时建议维持现状。",
    ),
    key_figure=Bilingual(
        en="Share of the attainable saving that customers who follow the advice really capture: 100 % is what somebody "
        "who knows the future would save, 0 % is staying.",
        zh="按建议执行后实际获得的节省占可得节省的比例；100% 为预知未来者，0% 为维持现状。",
    ),
    intended_uses=(
        Bilingual(en="Tariff counselling of single customers and campaigns", zh="客户电价咨询与营销推荐"),
        Bilingual(en="Choice of billing basis and contracted demand", zh="基本电费计收方式与合同需量的选择"),
    ),
    excluded_uses=(
        Bilingual(
            en="Billing: prices marked as not verified are for demonstration", zh="不得用于计费：未核实价格仅供演示"
        ),
        Bilingual(en="Promises to a customer beyond the stated interval", zh="不得向客户承诺区间以外的节省"),
    ),
    method=(
        Bilingual(
            en="Exact bills of the past months under every tariff and option that is open to the customer, from the "
            "load cube; contracted demands on a grid, for the year and, where a tariff allows it, for every month.",
            zh="以负荷立方体精确计算过去各月在全部可选电价与选项下的电费；合同需量取网格，允许时逐月优化。",
        ),
        Bilingual(
            en="Next year: the same months carried forward, times a point forecast (last year, seasonal mean or "
            "boosted trees, whichever was nearest on later months of customers not seen), times the surprises that "
            "similar customers met in the following year (months, hours and peaks kept together): 100 scenarios.",
            zh="下一年：去年同月负荷乘以点预测（去年同期、季节均值或提升树，取留出时间上最优者），再乘以相似客户次年的偏差"
            "（月、时段与峰值整体保留），共 100 个情景。",
        ),
        Bilingual(
            en="The trees see history, calendar, class, the weather of the district, and the customer's segment: a "
            "group of like load shapes that is found in the customers and months the trees are fitted on.",
            zh="提升树的输入：历史负荷、日历、用电类别、所在区域的天气，以及客户所属负荷形态分组（仅由训练客户与决策前月份得出）。",
        ),
        Bilingual(
            en="Every scenario is billed exactly; interval widths are calibrated on customers not seen.",
            zh="每个情景均精确计费；区间宽度以未参与训练的客户校准。",
        ),
        Bilingual(
            en="Customers without interval readings get the hours of similar customers (class, level, season); widths "
            "are calibrated, and judged, by pretending that customers who were read were not.",
            zh="无区间读数的客户采用相似客户（类别、电量、季节）的时段分布；区间以隐去读数的方式校准与检验。",
        ),
    ),
    data=(
        Bilingual(
            en="customer_tariff_features and customer_load_cube. Learned from customers read well enough before and "
            "after the decision month.",
            zh="电价特征表与负荷立方体；仅以决策月前后读数充分的客户学习。",
        ),
    ),
    limits=(
        Bilingual(
            en="Customers are assumed not to change their habits when prices change.",
            zh="假定客户不因电价变化改变用电习惯。",
        ),
        Bilingual(
            en="One pair of years: the direction of the next common movement (weather, economy) is not foretold, only "
            "its size. Scenarios and widths behind a judged customer come from other customers of the same year.",
            zh="仅一对年份：只估计共同变动的幅度，不预测方向；被检验客户的情景与区间宽度来自同年其他客户。",
        ),
        Bilingual(
            en="Facts of a customer (tariff, capacity) at a decision before the mart's first as-of month are those of "
            "that first month.",
            zh="早于特征表首月的回测决策，客户档案取首月数据。",
        ),
        Bilingual(
            en="Reactive energy keeps last year's ratio to the energy, month by month; tariffs with a power factor are "
            "for customers whose kvarh was metered.",
            zh="无功电量按去年同月与有功电量之比推算；含功率因数调整的电价仅适用于有无功计量的客户。",
        ),
        Bilingual(
            en="Prices of the next year are those known today; where none are published, those of the last year.",
            zh="下一年价格取已知价格，未公布的沿用去年价格。",
        ),
    ),
    figures=(
        CardFigure(
            plot="back_test.png",
            title=Bilingual(en="Back-test against simpler advice", zh="与简单方法的回测比较"),
            caption=Bilingual(
                en="Decided at several months with what was known then; bills paid afterwards. Lines: 95 % intervals "
                "over customers.",
                zh="在多个历史月份按当时已知信息决策，以其后账单结算；线段为 95% 区间。",
            ),
            is_wide=True,
        ),
        CardFigure(
            plot="savings.png",
            title=Bilingual(en="Foretold and realised savings", zh="预测与实际节省"),
            is_wide=True,
        ),
        CardFigure(
            plot="coverage.png",
            title=Bilingual(en="Do the intervals cover what they promise?", zh="区间是否如约覆盖"),
            caption=Bilingual(
                en="Blue: all customers at the main decision. Green: the saving, orange: the bill; by class, decision, "
                "and for customers of whom it was pretended that nothing was read.",
                zh="蓝：主决策全部客户；绿：节省额；橙：电费；按类别、决策月与隐去读数的客户。",
            ),
        ),
    ),
)
