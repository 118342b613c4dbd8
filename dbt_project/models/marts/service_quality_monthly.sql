with contacts as (

    select * from {{ ref('int_service_contacts') }}

),

final as (

    select
        cast({{ month_start('opened_month_number') }} as date) as month,
        district,
        channel,
        topic,
        segment_id,
        max(segment_name) as segment_name,
        max(segment_name_zh) as segment_name_zh,
        {{ service_quality_measures() }}
    from contacts
    group by opened_month_number, district, channel, topic, segment_id

)

select * from final
