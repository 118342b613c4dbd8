with contacts as (

    select * from {{ ref('int_service_contacts') }}

),

-- Quantiles do not add up, so each view of the same contacts is computed from the contacts.
final as (

{% for dimension in ['total', 'district', 'channel', 'topic', 'segment'] %}
{% set value = {'total': "'total'", 'segment': 'segment_id'}.get(dimension, dimension) %}
    select
        cast({{ month_start('opened_month_number') }} as date) as month,
        '{{ dimension }}' as dimension,
        {{ value }} as value,
        {{ "max(segment_name)" if dimension == 'segment' else value }} as value_name,
        {{ "max(segment_name_zh)" if dimension == 'segment' else value }} as value_name_zh,
        {{ service_quality_measures() }}
    from contacts
    group by opened_month_number, {{ value }}
{% if not loop.last %}
    union all
{% endif %}
{% endfor %}

)

select * from final
