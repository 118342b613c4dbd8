{#- The files of one use case's batch predictions; see `landing_source`. -#}
{% macro prediction_source(name) -%}
    {{ adapter.dispatch('prediction_source')(name) }}
{%- endmacro %}

{% macro duckdb__prediction_source(name) -%}
    {{ source('predictions', name) }}
{%- endmacro %}

{% macro spark__prediction_source(name) -%}
    {%- set folders = {
        'customer_segments': 'segmentation',
        'tariff_recommendations': 'tariff_matching',
        'credit_scores': 'credit_risk',
    } -%}
    {%- do source('predictions', name) -%}
    parquet.`{{ var('predictions_path') }}/*/{{ folders[name] }}/*/predictions.parquet`
{%- endmacro %}
