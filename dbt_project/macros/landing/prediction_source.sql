{#-
    The files of one use case's batch predictions. The source node stays a real dbt source, see `landing_source`. DuckDB
    reads the files of all months together; for Spark they were copied into one schema, since it cannot join files in
    which a column has another type or none.
-#}
{% macro prediction_source(name) -%}
    {{ adapter.dispatch('prediction_source')(name) }}
{%- endmacro %}

{% macro duckdb__prediction_source(name) -%}
    {{ source('predictions', name) | string | replace('$predictions_path', var('predictions_path')) }}
{%- endmacro %}

{% macro spark__prediction_source(name) -%}
    {%- set folders = {
        'customer_segments': 'segmentation',
        'tariff_recommendations': 'tariff_matching',
        'credit_scores': 'credit_risk',
    } -%}
    {{ spark_files(source('predictions', name), var('predictions_path') ~ '/' ~ folders[name], false) }}
{%- endmacro %}
