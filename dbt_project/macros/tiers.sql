{#-
    Tier of a customer by value, loyalty and risk; as ml.segmentation.value_tiers.customer_tier, which says what it
    means. An unknown rating is neither low nor high risk.
-#}
{% macro customer_tier(value_tier, loyalty_tier, credit_rating) -%}
    case
        when {{ value_tier }} is null or {{ value_tier }} = 'unknown' then 'unknown'
        when {{ value_tier }} = 'low' and (coalesce({{ credit_rating }}, '') in ('C', 'D') or {{ loyalty_tier }} = 'loose')
            then 'basic'
        when {{ value_tier }} = 'low' and {{ loyalty_tier }} = 'loyal'
            and coalesce({{ credit_rating }}, '') in ('AAA', 'AA', 'A', 'BBB', 'BB')
            then 'develop'
        when {{ value_tier }} = 'low' then 'maintain'
        when coalesce({{ credit_rating }}, '') in ('C', 'D') then 'secure'
        when {{ loyalty_tier }} = 'loose' then 'retain'
        when {{ value_tier }} = 'high' then 'key'
        else 'develop'
    end
{%- endmacro %}
